"""OpenAI's Batch API: files of texts, answered within a day, at half the price and outside the usual limits."""

import base64
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import openai

from jobs.embedding.provider import BatchState, Limits, Result, Vectors
from jobs.embedding.providers.openai import LIMITS, OpenAIProvider, failure_of
from jobs.settings import EmbeddingModel, Settings

# https://platform.openai.com/docs/guides/batch: 50,000 texts of embeddings a batch and 200 MB a file; in tokens, as
# texts are packed (a quarter of a token a byte), that leaves room for what stands around them
MOST_TEXTS, MOST_TOKENS = 50_000, 40_000_000
ENDPOINT = "/v1/embeddings"
NAME = "nextmart_submission"  # in a batch's metadata
ENDED = ("completed", "expired", "failed", "cancelled")
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
            try:
                uploaded = self._patient.files.create(file=(f"{submission_id}.jsonl", file), purpose="batch")
                made = self.direct.client.batches.create(
                    input_file_id=uploaded.id,
                    endpoint=ENDPOINT,
                    completion_window="24h",
                    metadata={NAME: submission_id},
                )
            except openai.OpenAIError as error:
                raise failure_of(error, self.direct.model) from error
        return str(made.id)

    def find(self, submission_id: str) -> str | None:
        """Look for a batch among all that the service keeps, newest first."""
        try:
            for batch in self._patient.batches.list(limit=100):
                if (batch.metadata or {}).get(NAME) == submission_id:
                    return str(batch.id)
        except openai.OpenAIError as error:
            raise failure_of(error, self.direct.model) from error
        return None

    def state(self, batch_id: str) -> BatchState:
        """Ask how far a batch is, and what is wrong with it as a whole."""
        batch = self._batch(batch_id)
        errors = [error.message or error.code or "" for error in (batch.errors.data if batch.errors else None) or []]
        return BatchState(batch.status, batch.status in ENDED, "; ".join(errors))

    def results(self, batch_id: str) -> Iterator[Result]:
        """Read the files of results and of errors line by line; an expired or cancelled batch has them too."""
        batch = self._batch(batch_id)
        for file_id in (batch.output_file_id, batch.error_file_id):
            if file_id:
                try:
                    with self._patient.files.with_streaming_response.content(file_id) as answer:
                        for line in answer.iter_lines():
                            if (result := result_of(line)) is not None:
                                yield result
                except openai.OpenAIError as error:
                    raise failure_of(error, self.direct.model) from error

    def _batch(self, batch_id: str) -> Any:
        try:
            return self._patient.batches.retrieve(batch_id)
        except openai.OpenAIError as error:
            raise failure_of(error, self.direct.model) from error

    @property
    def _patient(self) -> Any:
        return self.direct.client.with_options(max_retries=CLIENT_RETRIES)


def result_of(line: str) -> Result | None:
    """Read one line of a file of results; None where it is none (its text then counts as unanswered)."""
    try:
        row = json.loads(line)
        key, response = row["custom_id"], row.get("response") or {}
        body = response.get("body") or {}
        if response.get("status_code") == 200:
            (answer,) = body["data"]
            return Result(key, vector_of(answer["embedding"]), int(body.get("usage", {}).get("prompt_tokens", 0)))
        error = body.get("error") or row.get("error") or {}
        message = f"the embedding service answers {response.get('status_code', 'nothing')}: {error.get('message', '')}"
        return Result(key, None, 0, message, is_final=response.get("status_code") in (400, 413, 422))
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def vector_of(embedding: str | list[float]) -> Vectors:
    """Read a vector in either form of the protocol: base64 of little-endian floats, or a list."""
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding), dtype="<f4").astype(np.float32)
    return np.asarray(embedding, dtype=np.float32)
