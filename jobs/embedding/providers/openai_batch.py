"""Embeddings from OpenAI's Batch API: files of texts, answered within a day at half the price."""

import base64
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import openai

from jobs.core.arrays import Floats
from jobs.dbt_vars import EmbeddingModel
from jobs.embedding.provider import BatchedTextResult, BatchState, RequestLimits
from jobs.embedding.providers.openai import OPENAI_REQUEST_LIMITS, OpenAIProvider
from jobs.services.openai_client import UNREADABLE_ANSWER_ERRORS, translate_openai_errors
from jobs.settings import Settings

# OpenAI allows 50,000 texts a batch and 200 MB a file (https://platform.openai.com/docs/guides/batch). At four bytes a
# token, 40 million tokens are 160 MB of text: the remaining 40 MB are for the JSON around each text.
MAX_TEXTS, MAX_TOKENS = 50_000, 40_000_000
ENDPOINT = "/v1/embeddings"
METADATA_KEY = "nextmart_submission"  # the metadata key under which a batch holds nextmart's ``submission_id``
ENDED_STATUSES = ("completed", "expired", "failed", "cancelled")  # OpenAI's statuses of batches that have ended
UNREACHED_CODES = (
    "batch_expired",
    "batch_cancelled",
)  # OpenAI's error codes of texts that a batch did not process
CLIENT_RETRIES = 5  # number of times that OpenAI's client retries a request that costs nothing


def make_provider(settings: Settings, embedding_model: EmbeddingModel) -> "OpenAIBatchProvider":
    """Return the provider for an embedding model; the API key is checked at the first request."""
    usd_per_million_tokens = None if embedding_model.price is None else embedding_model.price / 2
    return OpenAIBatchProvider(
        OpenAIProvider(
            embedding_model.model,
            embedding_model.dimensions,
            embedding_model.price,
            timeout_seconds=settings.embedding_timeout_seconds,
        ),
        usd_per_million_tokens,
    )


@dataclass
class OpenAIBatchProvider:
    """Embeds texts with one embedding model of OpenAI through the Batch API.

    Attributes
    ----------
    direct_provider : OpenAIProvider
        The provider of the same model without batches.
    usd_per_million_tokens : float or None
        US dollars a million tokens, half the price without batches; None if the price is unknown.
    """

    direct_provider: OpenAIProvider
    usd_per_million_tokens: float | None

    @property
    def request_limits(self) -> RequestLimits:
        """The texts and tokens that one batch may hold."""
        return RequestLimits(
            MAX_TEXTS,
            self.direct_provider.request_limits.tokens_per_text or OPENAI_REQUEST_LIMITS.tokens_per_text,
            MAX_TOKENS,
        )

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Count tokens as :meth:`OpenAIProvider.count_tokens` does."""
        return self.direct_provider.count_tokens(texts)

    def truncate_text(self, text: str, max_tokens: int) -> str:
        """Cut a text as :meth:`OpenAIProvider.truncate_text` does."""
        return self.direct_provider.truncate_text(text, max_tokens)

    def submit_batch(self, submission_id: str, text_by_key: dict[str, str]) -> str:
        """Upload a file with the texts, create a batch from the file, and return the batch's id.

        The creation is not retried, because a request whose answer is lost may have created a batch. Then
        :meth:`find_batch` finds that batch.
        """
        with tempfile.TemporaryFile() as file:
            for key, text in text_by_key.items():
                body = {
                    "model": self.direct_provider.model_name,
                    "input": text,
                    "encoding_format": "base64",
                    **self.direct_provider.dimensions_argument,
                }
                line = {"custom_id": key, "method": "POST", "url": ENDPOINT, "body": body}
                file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            file.seek(0)
            with translate_openai_errors(self.direct_provider.model_name):
                uploaded = self._retrying_client.files.create(file=(f"{submission_id}.jsonl", file), purpose="batch")
                batch = self.direct_provider.client.batches.create(
                    input_file_id=uploaded.id,
                    endpoint=ENDPOINT,
                    completion_window="24h",
                    metadata={METADATA_KEY: submission_id},
                )
                return str(batch.id)

    def find_batch(self, submission_id: str) -> str | None:
        """Return the id of the batch that was submitted as ``submission_id``; None if the service has no such batch."""
        with translate_openai_errors(self.direct_provider.model_name):
            for batch in self._retrying_client.batches.list(limit=100):
                if (batch.metadata or {}).get(METADATA_KEY) == submission_id:
                    return str(batch.id)
        return None

    def fetch_batch_state(self, batch_id: str) -> BatchState:
        """Ask the service for the progress of a batch; the status of an unknown batch is ``gone``.

        Raises
        ------
        ActionNeededError
            If the service knows neither the batch nor the list of batches, since then its address is wrong.
        """
        with translate_openai_errors(self.direct_provider.model_name):
            try:
                batch = self._retrying_client.batches.retrieve(batch_id)
            except openai.NotFoundError:
                self._require_list_of_batches()
                return BatchState("gone", True, "the service doesn't know it (any more)")
            errors = (batch.errors.data if batch.errors else None) or []
            messages = [error.message or error.code or "" for error in errors]
            return BatchState(batch.status, batch.status in ENDED_STATUSES, "; ".join(messages))

    def fetch_batch_results(self, batch_id: str) -> Iterator[BatchedTextResult]:
        """Yield the results in a batch's output file and error file; expired and cancelled batches also have them.

        Raises
        ------
        ActionNeededError
            As for :meth:`fetch_batch_state`.
        """
        with translate_openai_errors(self.direct_provider.model_name):
            try:
                batch = self._retrying_client.batches.retrieve(batch_id)
                for file_id in filter(None, (batch.output_file_id, batch.error_file_id)):
                    with self._retrying_client.files.with_streaming_response.content(file_id) as answer:
                        yield from filter(None, map(parse_result_line, answer.iter_lines()))
            except openai.NotFoundError:
                self._require_list_of_batches()
                return  # the batch or a file was deleted: texts without a result are submitted again

    def _require_list_of_batches(self) -> None:
        """Ask for the list of batches after "not found", which a wrong OPENAI_BASE_URL gives for a batch too.

        If the address is wrong, this request raises :class:`openai.NotFoundError` as well. If it succeeds, the service
        really does not have what it did not find.
        """
        self._retrying_client.batches.list(limit=1)

    @property
    def _retrying_client(self) -> Any:
        """OpenAI's client with its own retries, for requests that cost nothing."""
        return self.direct_provider.client.with_options(max_retries=CLIENT_RETRIES)


def parse_result_line(line: str) -> BatchedTextResult | None:
    """Parse one line of a batch's output file or error file.

    Returns
    -------
    BatchedTextResult or None
        None if the line can't be read, or if the batch did not process the text: then the text has no result yet.
    """
    try:
        row = json.loads(line)
        key, response, failure = row["custom_id"], row.get("response") or {}, row.get("error") or {}
        if not isinstance(key, str) or failure.get("code") in UNREACHED_CODES:
            return None
        body, status = response.get("body") or {}, response.get("status_code")
        if status == 200:
            (answer,) = body["data"]
            # some OpenAI-compatible servers do not report how many tokens they charge
            tokens = (body.get("usage") or {}).get("prompt_tokens") or 0
            return BatchedTextResult(key, parse_vector(answer["embedding"]), int(tokens))
        error = body.get("error") or failure
        message = f"the embedding service answers {status or 'nothing'}: {error.get('message', '')}"
        return BatchedTextResult(key, None, 0, message, would_fail_again=status in (400, 413, 422))
    except (*UNREADABLE_ANSWER_ERRORS, OverflowError, RecursionError):
        return None


def parse_vector(encoded_vector: str | list[float]) -> Floats:
    """Parse a vector in either form of OpenAI's API: base64 of little-endian float32 values, or a list of numbers.

    Returns
    -------
    float32 array (dimensions,)

    Raises
    ------
    ValueError, TypeError or OverflowError
        If ``encoded_vector`` has neither form.
    """
    if isinstance(encoded_vector, str):
        return np.frombuffer(base64.b64decode(encoded_vector), dtype="<f4").astype(np.float32)
    vector = np.asarray(encoded_vector, dtype=np.float32)
    if vector.ndim != 1:
        raise ValueError(f"an embedding of {vector.ndim} dimensions is no vector")
    return vector
