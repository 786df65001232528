"""OpenAI's Batch API: files of texts, answered within a day, at half the price and outside the usual limits."""

import base64
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import openai

from jobs.core.arrays import Floats
from jobs.embedding.provider import BatchState, Limits, Result
from jobs.embedding.providers.openai import LIMITS, OpenAIProvider
from jobs.services.client import UNREADABLE, explained
from jobs.settings import EmbeddingModel, Settings

# https://platform.openai.com/docs/guides/batch: 50,000 texts of embeddings a batch and 200 MB a file; in tokens, as
# texts are packed (a quarter of a token a byte), that leaves room for what stands around them
MOST_TEXTS, MOST_TOKENS = 50_000, 40_000_000
ENDPOINT = "/v1/embeddings"
NAME = "nextmart_submission"  # in a batch's metadata
ENDED = ("completed", "expired", "failed", "cancelled")
UNREACHED = ("batch_expired", "batch_cancelled")  # what a batch says of texts that it ended too early for
CLIENT_RETRIES = 5  # of requests that cost nothing


def make(settings: Settings, model: EmbeddingModel) -> "OpenAIBatchProvider":
    """Return the provider; the key is looked at when it is first asked."""
    price = None if model.price is None else model.price / 2
    return OpenAIBatchProvider(
        OpenAIProvider(model.model, model.dimensions, model.price, timeout=settings.embedding_timeout_seconds), price
    )


@dataclass
class OpenAIBatchProvider:
    """The models of :class:`OpenAIProvider`, by another way."""

    direct: OpenAIProvider
    price: float | None

    @property
    def limits(self) -> Limits:
        """What one batch may hold."""
        return Limits(MOST_TEXTS, self.direct.limits.text_tokens or LIMITS.text_tokens, MOST_TOKENS)

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Count as the models do."""
        return self.direct.count_tokens(texts)

    def shorten(self, text: str, tokens: int) -> str:
        """Cut between tokens."""
        return self.direct.shorten(text, tokens)

    def submit(self, submission_id: str, texts: dict[str, str]) -> str:
        """Upload a file and make a batch of it.

        Making it is tried once: a request whose answer is lost may have made one, which :meth:`find` will find.
        """
        with tempfile.TemporaryFile() as file:
            for key, text in texts.items():
                body = {"model": self.direct.model, "input": text, "encoding_format": "base64", **self.direct.size}
                line = {"custom_id": key, "method": "POST", "url": ENDPOINT, "body": body}
                file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            file.seek(0)
            with explained(self.direct.model):
                uploaded = self._patient.files.create(file=(f"{submission_id}.jsonl", file), purpose="batch")
                made = self.direct.client.batches.create(
                    input_file_id=uploaded.id,
                    endpoint=ENDPOINT,
                    completion_window="24h",
                    metadata={NAME: submission_id},
                )
                return str(made.id)

    def find(self, submission_id: str) -> str | None:
        """Look for a batch among all that the service keeps, newest first."""
        with explained(self.direct.model):
            for batch in self._patient.batches.list(limit=100):
                if (batch.metadata or {}).get(NAME) == submission_id:
                    return str(batch.id)
        return None

    def state(self, batch_id: str) -> BatchState:
        """Ask how far a batch is, and what is wrong with it as a whole."""
        with explained(self.direct.model):
            try:
                batch = self._patient.batches.retrieve(batch_id)
            except openai.NotFoundError:
                return BatchState("gone", True, "the service doesn't know it (any more)")
            said = (batch.errors.data if batch.errors else None) or []
            errors = [error.message or error.code or "" for error in said]
            return BatchState(batch.status, batch.status in ENDED, "; ".join(errors))

    def results(self, batch_id: str) -> Iterator[Result]:
        """Read the files of results and of errors line by line; an expired or cancelled batch has them too."""
        with explained(self.direct.model):
            try:
                batch = self._patient.batches.retrieve(batch_id)
                for file_id in filter(None, (batch.output_file_id, batch.error_file_id)):
                    with self._patient.files.with_streaming_response.content(file_id) as answer:
                        yield from filter(None, map(result_of, answer.iter_lines()))
            except openai.NotFoundError:  # deleted meanwhile: what is gone is asked for again
                return

    @property
    def _patient(self) -> Any:
        return self.direct.client.with_options(max_retries=CLIENT_RETRIES)


def result_of(line: str) -> Result | None:
    """Read one line of a file of results; None where it is none (its text then counts as unanswered)."""
    try:
        row = json.loads(line)
        key, response, failure = row["custom_id"], row.get("response") or {}, row.get("error") or {}
        if not isinstance(key, str) or failure.get("code") in UNREACHED:
            return None
        body, status = response.get("body") or {}, response.get("status_code")
        if status == 200:
            (answer,) = body["data"]
            tokens = (body.get("usage") or {}).get("prompt_tokens") or 0  # not every such server counts
            return Result(key, vector_of(answer["embedding"]), int(tokens))
        error = body.get("error") or failure
        message = f"the embedding service answers {status or 'nothing'}: {error.get('message', '')}"
        return Result(key, None, 0, message, is_final=status in (400, 413, 422))
    except (*UNREADABLE, OverflowError, RecursionError):
        return None


def vector_of(embedding: str | list[float]) -> Floats:
    """Read a vector in either form of the protocol: base64 of little-endian floats, or a list.

    Raises
    ------
    ValueError, TypeError or OverflowError
        If it is neither.
    """
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding), dtype="<f4").astype(np.float32)
    vector = np.asarray(embedding, dtype=np.float32)
    if vector.ndim != 1:
        raise ValueError(f"an embedding of {vector.ndim} dimensions is no vector")
    return vector
