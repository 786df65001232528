"""The embed job: texts without a vector get one, bought once and committed batch by batch."""

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from jobs.embedding.backlog import TEXTS, MissingTexts, fitting, label_empty, stage_missing_texts
from jobs.embedding.batch_api import UNDER_WAY, embed_in_batches
from jobs.embedding.batching import requests
from jobs.embedding.budget import Budget
from jobs.embedding.dispatch import Dispatcher
from jobs.embedding.provider import BatchProvider, DirectProvider, Rate, provider_for
from jobs.embedding.stored_vectors import store_failures, store_vectors
from jobs.errors import NextmartError, UsageError, redact
from jobs.progress import progress, say
from jobs.settings import Settings
from jobs.warehouse.connection import Connection
from jobs.warehouse.job_runs import JobRun

HAS_VECTORS = """
    select exists (
        from ml.embeddings
        where embedding_model = $embedding_model and dimensions = $dimensions and embedding is not null
    )
"""


@dataclass(frozen=True)
class EmbedOptions:
    """What a person asks of one run, beyond the settings.

    Attributes
    ----------
    max_cost : float or None
        US dollars; the request that would pass it is not made.
    retry_failed : bool
        Ask again about texts that failed before.
    texts : str
        The relation that holds the items' texts, as in SQL.
    """

    max_cost: float | None = None
    retry_failed: bool = False
    texts: str = TEXTS


def embed(connection: Connection, settings: Settings, run: JobRun, options: EmbedOptions = EmbedOptions()) -> None:
    """Give every text of ``catalog.item_texts`` a row in ``ml.embeddings``; what is there stays.

    Where the service fails, the run's status is ``incomplete``: what was bought stays, what is missing is asked for by
    the next run, and whoever called goes on with the vectors that exist.

    Raises
    ------
    NextmartError
        If the service fails and the model has no vector at all, so that there is nothing to go on with.
    """
    model = settings.job_vars().embedding
    if options.max_cost is not None and math.isnan(options.max_cost):
        raise UsageError("--max-cost is an amount in US dollars, not nan")
    wanted = MissingTexts(model, options.retry_failed, settings.embedding_too_long == "truncate", options.texts)
    label_empty(connection, wanted, run.run_id)
    run.rows_in = stage_missing_texts(connection, wanted)
    run.detail = {
        "embedding_model": model.name, "provider": model.provider, "texts": run.rows_in, "failed": 0, "tokens": 0,
    }  # fmt: skip
    if not run.rows_in and not connection.execute(UNDER_WAY, model.key).fetchall()[0][0]:
        return  # nothing to do must cost nothing, not even the loading of a provider
    provider = provider_for(settings, model)
    if options.max_cost is not None and provider.price is None:
        raise UsageError(
            f"--max-cost needs a price: nextmart doesn't know that of {model.name}. Set it, in US dollars a million "
            f'tokens: [vars.embedding_models."{model.name}"] price = …'
        )
    budget = Budget(provider.price, options.max_cost)
    try:
        if isinstance(provider, DirectProvider):
            ended_by = _embed_now(connection, settings, run, provider, budget, wanted) if run.rows_in else None
        else:
            ended_by = embed_in_batches(connection, settings, run, cast(BatchProvider, provider), budget, wanted)
    finally:
        run.detail["tokens"], run.cost = budget.tokens, budget.cost
    if ended_by:
        run.status = "incomplete"
        run.detail["ended_by"] = redact(str(ended_by))
        if not connection.execute(HAS_VECTORS, model.key).fetchall()[0][0]:
            raise ended_by
        say(f"embed ended early; the vectors that exist will do meanwhile: {run.detail['ended_by']}")


def _embed_now(
    connection: Connection,
    settings: Settings,
    run: JobRun,
    provider: DirectProvider,
    budget: Budget,
    wanted: MissingTexts,
) -> NextmartError | None:
    """Ask for one vector after the other; return why the run ended early, if it did."""
    model = wanted.model
    rate = Rate(settings.embedding_requests_per_minute, settings.embedding_tokens_per_minute)
    dispatcher = Dispatcher(provider, model.dimensions, budget, rate, settings.embedding_patience_seconds)
    texts = fitting(connection, wanted, provider, run)
    planned = requests(texts, provider.limits, settings.embedding_batch_size)
    with progress(f"embedding with {model.name}", run.rows_in) as advance, _ending_at_ctrl_c(dispatcher.stop):
        for outcome in dispatcher.outcomes(planned):
            if outcome.vectors is not None and len(outcome.texts):
                store_vectors(connection, model, run.run_id, outcome.texts, outcome.vectors)
                run.rows_out += len(outcome.texts)
            if outcome.failed:
                text, error = outcome.failed
                store_failures(connection, model, run.run_id, "failed", [(text.text_hash, redact(error))])
                run.detail["failed"] += 1
            advance(len(outcome.texts) + bool(outcome.failed), f"${budget.cost:.4f}" if budget.price else "")
    return dispatcher.ended_by


@contextmanager
def _ending_at_ctrl_c(stop: threading.Event) -> Iterator[None]:
    """Let the first Ctrl-C end the run with what is under way, since that is paid for; the second abandons it."""
    if threading.current_thread() is not threading.main_thread():  # inside dbt, which listens itself
        yield
        return

    def end(*_: object) -> None:
        say("finishing the requests that are under way; Ctrl-C again abandons them")
        signal.signal(signal.SIGINT, before)
        interrupted.set()
        stop.set()

    interrupted = threading.Event()
    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupted.is_set():
        raise KeyboardInterrupt
