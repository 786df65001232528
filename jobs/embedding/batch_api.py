"""The embed job with a service that takes batches and answers within a day.

Each run takes what is ready and hands in what is missing; it may wait. A batch is written down before it is handed in,
under a name that the service keeps with it. So a run that dies at any moment leaves nothing in doubt: the next one
finds the batch by that name, or knows that there is none.
"""

import secrets
import time
from dataclasses import replace
from itertools import islice

import numpy as np
import pyarrow as pa

from jobs.embedding.backlog import MissingTexts, fitting, stage_missing_texts
from jobs.embedding.batching import Text, requests
from jobs.embedding.budget import Budget, SpentUp
from jobs.embedding.provider import BatchProvider, Result
from jobs.embedding.stored_vectors import store_failures, store_vectors, usable
from jobs.errors import NextmartError, redact
from jobs.progress import say
from jobs.services.errors import Denied, Refused, ServiceError, Unavailable
from jobs.settings import Settings
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection, transaction
from jobs.warehouse.job_runs import JobRun

BATCHES_A_TEXT = 3  # that may leave a text without a vector before it counts as impossible
RESULTS_AT_ONCE = 1000  # committed together
LONGEST_PAUSE = 60.0  # seconds between two looks at what is under way

OPEN = """
    select submission_id, batch_id from ml.embedding_batches
    where embedding_model = $embedding_model and dimensions = $dimensions and ended_at is null
    order by created_at, submission_id
"""

UNDER_WAY = """
    select count(*), coalesce(sum(texts), 0)::bigint, coalesce(sum(tokens), 0)::bigint from ml.embedding_batches
    where embedding_model = $embedding_model and dimensions = $dimensions and ended_at is null
"""

WRITE_BATCH = """
    insert into ml.embedding_batches by name
    select $submission_id as submission_id, $embedding_model as embedding_model, $dimensions as dimensions,
        'preparing' as status, $texts as texts, $tokens as tokens, 0 as results, $run_id as run_id, $now as created_at
"""

# by Arrow: as parameters, the 50,000 texts of a batch would take a minute
WRITE_TEXTS = """
    insert into ml.embedding_batch_texts by name select *, $submission_id as submission_id from handed_in
"""

HOPELESS = """
    -- texts of a batch that have left enough batches without a vector; what a batch that did not complete leaves out is
    -- not its texts' fault
    select texts.text_hash
    from ml.embedding_batch_texts as texts
    inner join ml.embedding_batches as batches on texts.submission_id = batches.submission_id
    where
        batches.embedding_model = $embedding_model and batches.dimensions = $dimensions
        and batches.status = 'completed'
        and texts.text_hash in (from ended)
    group by texts.text_hash
    having count(*) >= $enough
"""

FORGET_SETTLED = """
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
    run: JobRun,
    provider: BatchProvider,
    budget: Budget,
    wanted: MissingTexts,
) -> NextmartError | None:
    """Take results, hand in what is missing, wait as long as the settings say; return why it ended early, if it did."""
    desk = BatchQueue(connection, settings, run, provider, budget, wanted)
    deadline = time.monotonic() + 60 * settings.embedding_batch_wait_minutes
    pause = 1.0
    try:
        while True:
            desk.collect()
            desk.hand_in()
            batches, texts, _ = desk.under_way()
            if not batches or time.monotonic() >= deadline:
                return None
            say(f"{texts:,} texts are under way in {batches} batches")
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(2 * pause, LONGEST_PAUSE)
    except (ServiceError, SpentUp) as error:
        return error
    finally:
        run.detail["under_way"] = desk.under_way()[1]


class BatchQueue:
    """Where batches of one model are handed in and their results taken."""

    def __init__(
        self, connection: Connection, settings: Settings, run: JobRun, provider: BatchProvider, budget: Budget,
        wanted: MissingTexts,
    ) -> None:  # fmt: skip
        self._connection = connection
        self._settings = settings
        self._run = run
        self._provider = provider
        self._budget = budget
        self._wanted = wanted
        self._key = wanted.model.key
        self._reserved: dict[str, int] = {}  # tokens set aside, by submissions of this run

    def under_way(self) -> tuple[int, int, int]:
        """Count batches under way, their texts and tokens."""
        batches, texts, tokens = self._connection.execute(UNDER_WAY, self._key).fetchall()[0]
        return batches, texts, tokens

    def collect(self) -> None:
        """Take the results of batches that have ended.

        Raises
        ------
        Unavailable
            If one has ended without a vector: to hand in its texts again at once would be no use.
        """
        fruitless = []
        for submission_id, batch_id in self._connection.execute(OPEN, self._key).fetchall():
            found = batch_id or self._provider.find(submission_id)
            if found is None:  # a run died before the service had it
                self._update(submission_id, status="lost", ended_at=now())
                continue
            state = self._provider.state(found)
            error = redact(state.error)
            self._update(submission_id, batch_id=found, status=state.status, error=error or None)
            if state.has_ended:
                settled = self._take(submission_id, found)
                if not settled:
                    fruitless.append(
                        f"batch {found} has {state.status} without a vector of {self._wanted.model.dimensions} "
                        f"dimensions: {error or 'no reason given'}"
                    )
                elif error:
                    say(f"batch {found} has {state.status}, with {settled:,} texts done: {error}")
        if fruitless:
            raise Unavailable(fruitless[0])

    def _take(self, submission_id: str, batch_id: str) -> int:
        """Store what a batch made of its texts, some at a time; return how many are done with.

        A run that dies in the middle takes them again, which changes nothing and costs nothing.
        """
        rows = self._connection.execute(
            "select text_hash, tokens, note from ml.embedding_batch_texts where submission_id = ?", [submission_id]
        ).fetchall()
        texts = {text_hash: Text(text_hash, "", tokens, note or "") for text_hash, tokens, note in rows}
        settled, charged = 0, 0
        errors: dict[str, str] = {}  # of all texts that were answered, "" for none
        results = self._provider.results(batch_id)
        while part := list(islice(results, RESULTS_AT_ONCE)):
            first = {result.key: result for result in part if result.key in texts and result.key not in errors}
            known = list(first.values())
            good = [result for result in known if self._is_usable(result)]
            if good:
                vectors = np.stack([result.vector for result in good if result.vector is not None])
                store_vectors(
                    self._connection,
                    self._wanted.model,
                    self._run.run_id,
                    [texts[result.key] for result in good],
                    vectors,
                )
            refused = [(result.key, redact(result.error)) for result in known if result.is_final]
            store_failures(self._connection, self._wanted.model, self._run.run_id, "failed", refused)
            self._run.rows_out += len(good)
            self._run.detail["failed"] += len(refused)
            settled += len(good) + len(refused)
            # not every such server counts
            charged += sum(result.tokens or texts[result.key].tokens for result in known if result.vector is not None)
            errors.update({result.key: result.error for result in known})
        with transaction(self._connection):
            self._update(submission_id, results=len(errors), ended_at=now())
            self._give_up(list(texts), errors)
            self._connection.execute(FORGET_SETTLED, self._key)
        # not before all are taken: a run that ends in the middle leaves the charge to the one that takes them again
        self._budget.settle(self._reserved.pop(submission_id, 0), charged)
        return settled

    def _is_usable(self, result: Result) -> bool:
        dimensions = self._wanted.model.dimensions
        return (
            result.vector is not None
            and len(result.vector) == dimensions
            and bool(usable(result.vector[None], 1, dimensions)[0])
        )

    def _give_up(self, texts: list[str], errors: dict[str, str]) -> None:
        """Label texts that one batch after the other leaves without a vector."""
        self._connection.register("ended", pa.table({"text_hash": pa.array(texts, pa.string())}))
        stored = (
            "select text_hash from ml.embeddings where embedding_model = $embedding_model and dimensions = $dimensions"
        )
        hopeless = self._connection.execute(
            f"{HOPELESS} except {stored}",
            {**self._key, "enough": BATCHES_A_TEXT},
        ).fetchall()
        self._connection.unregister("ended")
        failures = [
            (text_hash, redact(errors.get(text_hash) or f"{BATCHES_A_TEXT} batches gave no usable vector"))
            for (text_hash,) in hopeless
        ]
        store_failures(self._connection, self._wanted.model, self._run.run_id, "failed", failures)
        self._run.detail["failed"] += len(failures)

    def hand_in(self) -> None:
        """Hand in all that is missing and not under way, in as many batches as it takes."""
        if not stage_missing_texts(self._connection, self._wanted):
            return
        allowed = self._settings.embedding_batch_enqueued_tokens
        limits = self._provider.limits
        most = min(filter(None, (limits.request_tokens, allowed)), default=None)
        texts = fitting(self._connection, self._wanted, self._provider, self._run)
        for batch in requests(texts, replace(limits, request_tokens=most), limits.texts):
            size = sum(text.tokens for text in batch)
            under_way = self.under_way()[2]
            if allowed is not None and under_way and under_way + size > allowed:
                return  # the next run, or look, hands in more
            self._budget.reserve(size)
            self._submit(batch, size)

    def _submit(self, batch: list[Text], tokens: int) -> None:
        submission_id = f"nextmart-{secrets.token_hex(8)}"
        self._reserved[submission_id] = tokens
        with transaction(self._connection):
            self._connection.execute(
                WRITE_BATCH,
                {
                    **self._key, "submission_id": submission_id, "texts": len(batch), "tokens": tokens,
                    "run_id": self._run.run_id, "now": now(),
                },
            )  # fmt: skip
            rows = {
                "text_hash": [text.text_hash for text in batch],
                "tokens": pa.array([text.tokens for text in batch], pa.int64()),
                "note": pa.array([text.note or None for text in batch], pa.string()),
            }
            self._connection.register("handed_in", pa.table(rows))
            self._connection.execute(WRITE_TEXTS, {"submission_id": submission_id})
            self._connection.unregister("handed_in")
        try:
            batch_id = self._provider.submit(submission_id, {text.text_hash: text.text for text in batch})
        except (Refused, Denied) as error:  # after any other it may have arrived all the same: the next run asks
            self._update(submission_id, status="refused", error=redact(str(error)), ended_at=now())
            raise
        self._update(submission_id, batch_id=batch_id, status="submitted")
        self._run.detail["handed_in"] = self._run.detail.get("handed_in", 0) + len(batch)

    def _update(self, submission_id: str, **values: object) -> None:
        columns = ", ".join(f"{name} = ${name}" for name in values)
        self._connection.execute(
            f"update ml.embedding_batches set {columns} where submission_id = $submission_id",  # noqa: S608
            {**values, "submission_id": submission_id},
        )
