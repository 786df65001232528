"""Embeddings from the embeddings endpoint of OpenAI or of a compatible server (``OPENAI_BASE_URL``)."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import openai

from jobs.dbt_vars import EmbeddingModel
from jobs.embedding.provider import EmbeddingAnswer, RateLimits, RequestLimits
from jobs.services.errors import WrongAnswerError
from jobs.services.openai_client import UNREADABLE_ANSWER_ERRORS, make_openai_client, to_service_error
from jobs.services.openai_tokenizer import cl100k_base
from jobs.settings import Settings

# Limits of OpenAI's service: https://platform.openai.com/docs/api-reference/embeddings/create
OPENAI_REQUEST_LIMITS = RequestLimits(texts_per_request=2048, tokens_per_text=8191, tokens_per_request=300_000)
# Models whose name begins with this prefix accept the parameter ``dimensions``; with other models the service refuses a
# request that has it.
RESIZABLE_MODEL_PREFIX = "text-embedding-3"


def make_provider(settings: Settings, embedding_model: EmbeddingModel) -> "OpenAIProvider":
    """Return the provider for an embedding model; the API key is checked at the first request."""
    return OpenAIProvider(
        embedding_model.model,
        embedding_model.dimensions,
        embedding_model.price,
        max_requests_in_flight=settings.embedding_requests_in_flight,
        timeout_seconds=settings.embedding_timeout_seconds,
    )


@dataclass
class OpenAIProvider:
    """One embedding model of OpenAI or of a compatible server.

    Attributes
    ----------
    model_name : str
        The model's name at the service.
    dimensions : int
        Length of the vectors.
    usd_per_million_tokens : float or None
        US dollars a million tokens; None if the price is unknown.
    max_requests_in_flight : int
        Requests that may run at the same time.
    timeout_seconds : float
        Seconds that one request may take at most.
    """

    model_name: str
    dimensions: int
    usd_per_million_tokens: float | None = None
    max_requests_in_flight: int = 8
    timeout_seconds: float = 60

    @property
    def request_limits(self) -> RequestLimits:
        """OpenAI's limits of a request; for a model of another maker, the longest text that it reads is unknown."""
        return (
            OPENAI_REQUEST_LIMITS
            if is_openai_model(self.model_name)
            else RequestLimits(OPENAI_REQUEST_LIMITS.texts_per_request, None, OPENAI_REQUEST_LIMITS.tokens_per_request)
        )

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Count tokens by cl100k_base, the tokenizer of OpenAI's embedding models; an estimate for other models."""
        return [len(tokens) for tokens in cl100k_base().encode_ordinary_batch(texts)]

    def truncate_text(self, text: str, max_tokens: int) -> str:
        """Cut a text to at most ``max_tokens`` tokens, and never within a character."""
        tokenizer = cl100k_base()
        kept = tokenizer.encode_ordinary(text)[:max_tokens]
        while True:
            shorter = tokenizer.decode_bytes(kept).decode(errors="ignore")
            if len(tokenizer.encode_ordinary(shorter)) <= max_tokens:
                return shorter
            # dropping a character that was cut in half can raise the token count by one; then the last token is cut off
            # too
            kept.pop()

    def embed(self, texts: list[str]) -> EmbeddingAnswer:
        """Embed texts in one request; retries are left to the caller.

        Raises
        ------
        ServiceError
            One of the classes in :mod:`jobs.services.errors`; WrongAnswerError if the answer does not hold one vector
            of the right length for each text.
        UsageError
            If the environment holds no usable key.
        """
        tokens = 0
        try:
            raw = self.client.embeddings.with_raw_response.create(
                model=self.model_name, input=texts, **self.dimensions_argument
            )
            answer = raw.parse()
            # some OpenAI-compatible servers do not report how many tokens they charge
            charged = getattr(answer.usage, "prompt_tokens", None)
            tokens = charged if isinstance(charged, int) else sum(self.count_tokens(texts))
            vectors = {row.index: np.array(row.embedding, dtype=np.float32).ravel() for row in answer.data}
            lengths = {len(vector) for vector in vectors.values()}
        except openai.OpenAIError as error:
            raise to_service_error(error, self.model_name) from error
        except UNREADABLE_ANSWER_ERRORS as error:
            raise WrongAnswerError(
                "the embedding service's answer holds no vectors; is OPENAI_BASE_URL right?", charged_tokens=tokens
            ) from error
        if len(answer.data) != len(texts) or vectors.keys() != set(range(len(texts))):
            raise WrongAnswerError(
                f"the embedding service answered {len(answer.data)} vectors for {len(texts)} texts, not one for each",
                charged_tokens=tokens,
            )
        if lengths != {self.dimensions}:
            raise WrongAnswerError(
                f"the embedding service answered vectors of {', '.join(map(str, sorted(lengths)))} dimensions, "
                f"embedding_models says {self.dimensions}",
                charged_tokens=tokens,
            )
        ordered_vectors = np.array([vectors[index] for index in range(len(texts))])
        return EmbeddingAnswer(
            ordered_vectors,
            tokens,
            RateLimits(_announced_limit(raw.headers, "requests"), _announced_limit(raw.headers, "tokens")),
        )

    @property
    def dimensions_argument(self) -> dict[str, int]:
        """The request's argument ``dimensions``, the length of vectors; empty for models with one fixed length."""
        return {"dimensions": self.dimensions} if self.model_name.startswith(RESIZABLE_MODEL_PREFIX) else {}

    @cached_property
    def client(self) -> Any:
        """OpenAI's client, without its own retries.

        Raises
        ------
        UsageError
            If the environment holds no usable key.
        """
        return make_openai_client(self.timeout_seconds)


def is_openai_model(model_name: str) -> bool:
    """Tell by its name whether an embedding model is OpenAI's; of these alone, nextmart knows tokenizer and limits."""
    return model_name.startswith("text-embedding-")


def _announced_limit(headers: Any, requests_or_tokens: str) -> float | None:
    """Return how many ``requests`` or ``tokens`` the service allows a minute, as the response headers say."""
    try:
        return float(headers[f"x-ratelimit-limit-{requests_or_tokens}"]) or None
    except (KeyError, ValueError):
        return None
