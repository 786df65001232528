"""The embed job with a provider that takes batches of texts and answers within a day (such as OpenAI's Batch API).

Each run of the job collects the results of ended batches and submits the texts that have no vector yet; it may wait for
their batches. A batch is recorded in the warehouse before it is submitted, under a name that the service keeps with the
batch. If a run is killed at any moment, the next run finds the batch by that name, or learns that there is none.
"""

import secrets
import time
from dataclasses import replace
from itertools import islice

import numpy as np
import pyarrow as pa

from jobs.embedding.backlog import MissingTextsQuery, read_staged_texts, stage_missing_texts
from jobs.embedding.batching import TextToEmbed, pack_requests
from jobs.embedding.budget import Budget, BudgetExceeded
from jobs.embedding.provider import BatchedTextResult, BatchProvider
from jobs.embedding.stored_vectors import store_failures, store_vectors, usable_vector_mask
from jobs.errors import NextmartError, redact
from jobs.progress import say
from jobs.services.errors import ActionNeededError, RequestRefusedError, ServiceError, ServiceUnavailableError
from jobs.settings import Settings
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection, transaction
from jobs.warehouse.job_runs import JobRun

MAX_BATCHES_PER_TEXT = 3  # completed batches without a vector for a text, after which the text counts as failed
RESULTS_PER_COMMIT = 1000  # number of a batch's results that are stored with one insert
LONGEST_PAUSE = 60.0  # longest wait, in seconds, between two checks of the batches under way

SELECT_OPEN_BATCHES = """
    select submission_id, batch_id from ml.embedding_batches
    where embedding_model = $embedding_model and dimensions = $dimensions and ended_at is null
    order by created_at, submission_id
"""

COUNT_BATCHES_UNDER_WAY = """
    select count(*), coalesce(sum(texts), 0)::bigint, coalesce(sum(tokens), 0)::bigint from ml.embedding_batches
    where embedding_model = $embedding_model and dimensions = $dimensions and ended_at is null
"""

WRITE_BATCH = """
    insert into ml.embedding_batches by name
    select $submission_id as submission_id, $embedding_model as embedding_model, $dimensions as dimensions,
        'preparing' as status, $texts as texts, $tokens as tokens, 0 as results, $run_id as run_id, $now as created_at
"""

# A batch's texts are inserted from an Arrow table: as query parameters, 50,000 texts would take a minute.
WRITE_TEXTS = """
    insert into ml.embedding_batch_texts by name select *, $submission_id as submission_id from batch_texts
"""

SELECT_HOPELESS_TEXTS = """
    -- texts of the batch that has just ended which got no vector from $max_batches completed batches; only completed
    -- batches count, since a batch that did not complete says nothing about its texts
    select texts.text_hash
    from ml.embedding_batch_texts as texts
    inner join ml.embedding_batches as batches on texts.submission_id = batches.submission_id
    where
        batches.embedding_model = $embedding_model and batches.dimensions = $dimensions
        and batches.status = 'completed'
        and texts.text_hash in (from ended_batch_texts)
    group by texts.text_hash
    having count(*) >= $max_batches
"""

DELETE_SETTLED_TEXTS = """
    delete from ml.embedding_batch_texts
    where submission_id in (
        select submission_id from ml.embedding_batches
        where embedding_model = $embedding_model and dimensions = $dimensions and ended_at is not null
    ) and text_hash in (
        select text_hash from ml.embeddings where embedding_model = $embedding_model and dimensions = $dimensions
    )
"""


def embed_in_batches(
    connection: Connection,
    settings: Settings,
    run_record: JobRun,
    provider: BatchProvider,
    budget: Budget,
    missing_texts_query: MissingTextsQuery,
) -> NextmartError | None:
    """Collect results of batches, submit texts without a vector, and wait as long as the settings say.

    Returns
    -------
    NextmartError or None
        The error that ended the run early; None if there was none.
    """
    tracker = BatchTracker(connection, settings, run_record, provider, budget, missing_texts_query)
    deadline = time.monotonic() + 60 * settings.embedding_batch_wait_minutes
    pause = 1.0
    try:
        while True:
            tracker.collect_results()
            tracker.submit_missing_texts()
            batches, texts, _ = tracker.count_batches_under_way()
            if not batches or time.monotonic() >= deadline:
                return None
            say(f"{texts:,} texts are under way in {batches} batches")
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(2 * pause, LONGEST_PAUSE)
    except (ServiceError, BudgetExceeded) as error:
        return error
    finally:
        run_record.detail["under_way"] = tracker.count_batches_under_way()[1]


class BatchTracker:
    """Submits the batches of one embedding model, tracks them in the warehouse, and collects those that have ended."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        run_record: JobRun,
        provider: BatchProvider,
        budget: Budget,
        missing_texts_query: MissingTextsQuery,
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._run_record = run_record
        self._provider = provider
        self._budget = budget
        self._missing_texts_query = missing_texts_query
        self._key = missing_texts_query.embedding_model.values_of_key_columns
        self._reserved_tokens: dict[str, int] = {}  # ``submission_id`` -> tokens of a batch that this run submitted

    def count_batches_under_way(self) -> tuple[int, int, int]:
        """Count the batches that have not ended, their texts and their tokens."""
        batches, texts, tokens = self._connection.execute(COUNT_BATCHES_UNDER_WAY, self._key).fetchall()[0]
        return batches, texts, tokens

    def collect_results(self) -> None:
        """Store the results of batches that have ended.

        Raises
        ------
        ServiceUnavailableError
            If a batch has ended without any vector. Its texts are not submitted again in this run, as they would fail
            again.
        """
        fruitless_batches = []
        for submission_id, recorded_id in self._connection.execute(SELECT_OPEN_BATCHES, self._key).fetchall():
            batch_id = recorded_id or self._provider.find_batch(submission_id)
            # the service has no such batch: an earlier run was killed before it submitted the batch
            if batch_id is None:
                self._update_batch(submission_id, status="lost", ended_at=now())
                continue
            state = self._provider.fetch_batch_state(batch_id)
            error = redact(state.error)
            self._update_batch(submission_id, batch_id=batch_id, status=state.status, error=error or None)
            if state.has_ended:
                settled = self._store_results(submission_id, batch_id)
                if not settled:
                    fruitless_batches.append(
                        f"batch {batch_id} has {state.status} without a vector of "
                        f"{self._missing_texts_query.embedding_model.dimensions} dimensions: "
                        f"{error or 'no reason given'}"
                    )
                elif error:
                    say(f"batch {batch_id} has {state.status}, with {settled:,} texts done: {error}")
        if fruitless_batches:
            raise ServiceUnavailableError(fruitless_batches[0])

    def _store_results(self, submission_id: str, batch_id: str) -> int:
        """Store the results of an ended batch in parts; return how many texts got a vector or a final error.

        If the run is killed before the last part, the next run stores all results again, at no cost.
        """
        rows = self._connection.execute(
            "select text_hash, tokens, note from ml.embedding_batch_texts where submission_id = ?", [submission_id]
        ).fetchall()
        texts = {text_hash: TextToEmbed(text_hash, "", tokens, note or "") for text_hash, tokens, note in rows}
        settled, charged = 0, 0
        errors: dict[str, str] = {}  # ``text_hash`` -> error of the text's result; "" if the text has a vector
        results = self._provider.fetch_batch_results(batch_id)
        while results_part := list(islice(results, RESULTS_PER_COMMIT)):
            results_by_key = {
                result.text_key: result
                for result in results_part
                if result.text_key in texts and result.text_key not in errors
            }
            new_results = list(results_by_key.values())
            usable_results = [result for result in new_results if self._has_usable_vector(result)]
            if usable_results:
                vectors = np.stack([result.vector for result in usable_results if result.vector is not None])
                embedded = [texts[result.text_key] for result in usable_results]
                store_vectors(
                    self._connection,
                    self._missing_texts_query.embedding_model,
                    self._run_record.run_id,
                    embedded,
                    vectors,
                )
            rejected = [(result.text_key, redact(result.error)) for result in new_results if result.would_fail_again]
            store_failures(
                self._connection, self._missing_texts_query.embedding_model, self._run_record.run_id, "failed", rejected
            )
            self._run_record.rows_out += len(usable_results)
            self._run_record.detail["failed"] += len(rejected)
            settled += len(usable_results) + len(rejected)
            # If the server reports no tokens for a text, it is assumed to charge for the tokens that nextmart counted.
            charged += sum(
                result.charged_tokens or texts[result.text_key].token_count
                for result in new_results
                if result.vector is not None
            )
            errors.update({result.text_key: result.error for result in new_results})
        with transaction(self._connection):
            self._update_batch(submission_id, results=len(errors), ended_at=now())
            self._record_hopeless_texts(list(texts), errors)
            self._connection.execute(DELETE_SETTLED_TEXTS, self._key)
        # The budget is charged after all results are stored: if a kill comes before, the next run stores all results
        # again, and charges its own budget for them.
        self._budget.settle(self._reserved_tokens.pop(submission_id, 0), charged)
        return settled

    def _has_usable_vector(self, result: BatchedTextResult) -> bool:
        dimensions = self._missing_texts_query.embedding_model.dimensions
        return (
            result.vector is not None
            and len(result.vector) == dimensions
            and bool(usable_vector_mask(result.vector[None], 1, dimensions)[0])
        )

    def _record_hopeless_texts(self, ended_batch_text_hashes: list[str], error_by_text_hash: dict[str, str]) -> None:
        """Record as failed the texts that ``MAX_BATCHES_PER_TEXT`` completed batches have left without a vector.

        Parameters
        ----------
        ended_batch_text_hashes : list of str
            The texts of the batch that has just ended.
        error_by_text_hash : text_hash -> error
            The errors that the ended batch reports.
        """
        self._connection.register(
            "ended_batch_texts", pa.table({"text_hash": pa.array(ended_batch_text_hashes, pa.string())})
        )
        stored = (
            "select text_hash from ml.embeddings where embedding_model = $embedding_model and dimensions = $dimensions"
        )
        hopeless_rows = self._connection.execute(
            f"{SELECT_HOPELESS_TEXTS} except {stored}", {**self._key, "max_batches": MAX_BATCHES_PER_TEXT}
        ).fetchall()
        self._connection.unregister("ended_batch_texts")
        failures = [
            (
                text_hash,
                redact(error_by_text_hash.get(text_hash) or f"{MAX_BATCHES_PER_TEXT} batches gave no usable vector"),
            )
            for (text_hash,) in hopeless_rows
        ]
        store_failures(
            self._connection, self._missing_texts_query.embedding_model, self._run_record.run_id, "failed", failures
        )
        self._run_record.detail["failed"] += len(failures)

    def submit_missing_texts(self) -> None:
        """Submit all texts that have no vector and are in no open batch, split into batches by the service's limits.

        Raises
        ------
        BudgetExceeded
            If the next batch might cost more than the run may still spend.
        """
        if not stage_missing_texts(self._connection, self._missing_texts_query):
            return
        max_tokens_under_way = self._settings.embedding_batch_enqueued_tokens
        limits = self._provider.request_limits
        batch_tokens = min(filter(None, (limits.tokens_per_request, max_tokens_under_way)), default=None)
        texts = read_staged_texts(self._connection, self._missing_texts_query, self._provider, self._run_record)
        for batch_texts in pack_requests(
            texts, replace(limits, tokens_per_request=batch_tokens), limits.texts_per_request
        ):
            tokens = sum(text.token_count for text in batch_texts)
            under_way = self.count_batches_under_way()[2]
            if max_tokens_under_way is not None and under_way and under_way + tokens > max_tokens_under_way:
                # the limits of the service are reached; remaining texts are submitted when batches under way have ended
                return
            self._budget.reserve(tokens)
            self._submit_batch(batch_texts, tokens)

    def _submit_batch(self, batch_texts: list[TextToEmbed], token_count: int) -> None:
        """Record a batch of texts in the warehouse, then submit it to the service.

        Parameters
        ----------
        token_count : int
            The number of tokens of all texts of the batch together.
        """
        submission_id = f"nextmart-{secrets.token_hex(8)}"
        self._reserved_tokens[submission_id] = token_count
        row = {"submission_id": submission_id, "texts": len(batch_texts), "tokens": token_count}
        with transaction(self._connection):
            self._connection.execute(WRITE_BATCH, {**self._key, **row, "run_id": self._run_record.run_id, "now": now()})
            columns = {
                "text_hash": [text.text_hash for text in batch_texts],
                "tokens": pa.array([text.token_count for text in batch_texts], pa.int64()),
                "note": pa.array([text.length_note or None for text in batch_texts], pa.string()),
            }
            self._connection.register("batch_texts", pa.table(columns))
            self._connection.execute(WRITE_TEXTS, {"submission_id": submission_id})
            self._connection.unregister("batch_texts")
        try:
            batch_id = self._provider.submit_batch(submission_id, {text.text_hash: text.text for text in batch_texts})
        # these errors show that the service doesn't have the batch; after other errors it may have it
        except (RequestRefusedError, ActionNeededError) as error:
            self._update_batch(submission_id, status="refused", error=redact(str(error)), ended_at=now())
            raise
        self._update_batch(submission_id, batch_id=batch_id, status="submitted")
        self._run_record.detail["handed_in"] = self._run_record.detail.get("handed_in", 0) + len(batch_texts)

    def _update_batch(self, submission_id: str, **new_values: object) -> None:
        assignments = ", ".join(f"{column} = ${column}" for column in new_values)
        self._connection.execute(
            f"update ml.embedding_batches set {assignments} where submission_id = $submission_id",  # noqa: S608
            {**new_values, "submission_id": submission_id},
        )
