"""The embeddings endpoint of OpenAI, or of any server that speaks like it (``OPENAI_BASE_URL``)."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import openai

from jobs.embedding.provider import Answer, Limits, Rate
from jobs.services.client import UNREADABLE, client, failure_of
from jobs.services.errors import WrongAnswer
from jobs.services.tokens import encoding
from jobs.settings import EmbeddingModel, Settings

# https://platform.openai.com/docs/api-reference/embeddings/create
LIMITS = Limits(texts=2048, text_tokens=8191, request_tokens=300_000)
# models that give vectors of the size that they are asked for; others refuse to be asked
SHORTENED = "text-embedding-3"


def make(settings: Settings, model: EmbeddingModel) -> "OpenAIProvider":
    """Return the provider; the key is looked at when it is first asked."""
    return OpenAIProvider(
        model.model, model.dimensions, model.price,
        at_once=settings.embedding_requests_in_flight, timeout=settings.embedding_timeout_seconds,
    )  # fmt: skip


@dataclass
class OpenAIProvider:
    """One model of the service."""

    model: str
    dimensions: int
    price: float | None = None
    at_once: int = 8
    timeout: float = 60

    @property
    def limits(self) -> Limits:
        """What OpenAI's service takes; of another server's models nothing is known of the length of texts."""
        return LIMITS if is_openais(self.model) else Limits(LIMITS.texts, None, LIMITS.request_tokens)

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Count as OpenAI's embedding models do (cl100k_base); for other models this is an estimate."""
        return [len(tokens) for tokens in encoding().encode_ordinary_batch(texts)]

    def shorten(self, text: str, tokens: int) -> str:
        """Cut between tokens, and before a character that a cut would halve."""
        kept = encoding().encode_ordinary(text)[:tokens]
        while True:
            shorter = encoding().decode_bytes(kept).decode(errors="ignore")
            if len(encoding().encode_ordinary(shorter)) <= tokens:
                return shorter
            kept.pop()  # without the halved character its token may fall into two

    def embed(self, texts: list[str]) -> Answer:
        """Embed in one request, which is tried once: who calls knows when to try again."""
        tokens = 0
        try:
            raw = self.client.embeddings.with_raw_response.create(model=self.model, input=texts, **self.size)
            answer = raw.parse()
            charged = getattr(answer.usage, "prompt_tokens", None)  # not every such server counts
            tokens = charged if isinstance(charged, int) else sum(self.count_tokens(texts))
            vectors = {row.index: np.array(row.embedding, dtype=np.float32).ravel() for row in answer.data}
            lengths = {len(vector) for vector in vectors.values()}
        except openai.OpenAIError as error:
            raise failure_of(error, self.model) from error
        except UNREADABLE as error:
            raise WrongAnswer(
                "the embedding service's answer holds no vectors; is OPENAI_BASE_URL right?", tokens=tokens
            ) from error
        if len(answer.data) != len(texts) or vectors.keys() != set(range(len(texts))):
            raise WrongAnswer(
                f"the embedding service answered {len(answer.data)} vectors for {len(texts)} texts, not one for each",
                tokens=tokens,
            )
        if lengths != {self.dimensions}:
            raise WrongAnswer(
                f"the embedding service answered vectors of {', '.join(map(str, sorted(lengths)))} dimensions, "
                f"embedding_models says {self.dimensions}",
                tokens=tokens,
            )
        in_order = np.array([vectors[index] for index in range(len(texts))])
        return Answer(in_order, tokens, Rate(_number(raw.headers, "requests"), _number(raw.headers, "tokens")))

    @property
    def size(self) -> dict[str, int]:
        """The request's parameter for the vectors' size, for models that have it."""
        return {"dimensions": self.dimensions} if self.model.startswith(SHORTENED) else {}

    @cached_property
    def client(self) -> Any:
        """OpenAI's own client, which tries each request once.

        Raises
        ------
        UsageError
            Without a usable key in the environment.
        """
        return client(self.timeout)


def is_openais(model: str) -> bool:
    """Tell whether a model is one of OpenAI's, whose tokenizer and limits are known."""
    return model.startswith("text-embedding-")


def _number(headers: Any, what: str) -> float | None:
    try:
        return float(headers[f"x-ratelimit-limit-{what}"]) or None
    except (KeyError, ValueError):
        return None
