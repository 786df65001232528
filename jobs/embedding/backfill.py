"""The embed job: texts without a vector get one, each bought once and committed request by request."""

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from jobs.embedding.backlog import ITEM_TEXTS, MissingTexts, label_empty_texts, stage_missing_texts, staged_texts
from jobs.embedding.batch_api import COUNT_UNDER_WAY, embed_in_batches
from jobs.embedding.batching import pack_requests
from jobs.embedding.budget import Budget
from jobs.embedding.dispatch import Dispatcher
from jobs.embedding.provider import BatchProvider, DirectProvider, Rate
from jobs.embedding.providers import provider_for
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
    """Options of one run of the embed job, beyond the settings.

    Attributes
    ----------
    max_cost : float or None
        US dollars; a request that would make the run cost more is not made. None for no limit.
    retry_failed : bool
        Whether texts that failed before are tried again.
    texts : str
        The relation that holds the items' texts, as written in SQL.
    """

    max_cost: float | None = None
    retry_failed: bool = False
    texts: str = ITEM_TEXTS


def embed(connection: Connection, settings: Settings, run: JobRun, options: EmbedOptions = EmbedOptions()) -> None:
    """Give every text of ``catalog.item_texts`` a row in ``ml.embeddings``; existing rows stay.

    If the service fails, the run's status is ``incomplete``: vectors bought so far stay, the next run asks for the
    rest, and the caller goes on with the vectors that exist.

    Raises
    ------
    NextmartError
        If the service fails and the embedding model has no vector at all.
    UsageError
        If ``options.max_cost`` is not a number, or limits the cost of a model without a known price.
    """
    model = settings.job_vars().embedding
    if options.max_cost is not None and math.isnan(options.max_cost):
        raise UsageError("--max-cost is an amount in US dollars, not nan")
    missing = MissingTexts(model, options.retry_failed, settings.embedding_too_long == "truncate", options.texts)
    label_empty_texts(connection, missing, run.run_id)
    run.rows_in = stage_missing_texts(connection, missing)
    run.detail = {
        "embedding_model": model.name,
        "provider": model.provider,
        "texts": run.rows_in,
        "failed": 0,
        "tokens": 0,
    }
    if not run.rows_in and not connection.execute(COUNT_UNDER_WAY, model.key).fetchall()[0][0]:
        return  # a run without work costs nothing, not even the loading of a provider
    provider = provider_for(settings, model)
    if options.max_cost is not None and provider.price is None:
        raise UsageError(
            f"--max-cost needs a price: nextmart doesn't know that of {model.name}. Set it, in US dollars a million "
            f'tokens: [vars.embedding_models."{model.name}"] price = …'
        )
    budget = Budget(provider.price, options.max_cost)
    try:
        if isinstance(provider, DirectProvider):
            ended_by = _embed_directly(connection, settings, run, provider, budget, missing) if run.rows_in else None
        else:
            ended_by = embed_in_batches(connection, settings, run, cast(BatchProvider, provider), budget, missing)
    finally:
        run.detail["tokens"], run.cost = budget.tokens, budget.cost
    if ended_by:
        run.status = "incomplete"
        run.detail["ended_by"] = redact(str(ended_by))
        if not connection.execute(HAS_VECTORS, model.key).fetchall()[0][0]:
            raise ended_by
        say(f"embed ended early; the vectors that exist will do meanwhile: {run.detail['ended_by']}")


def _embed_directly(
    connection: Connection,
    settings: Settings,
    run: JobRun,
    provider: DirectProvider,
    budget: Budget,
    missing: MissingTexts,
) -> NextmartError | None:
    """Embed the staged texts with a provider that answers at once; return why the run ended early, None if it did not.

    Each request's vectors are committed as soon as they arrive.
    """
    model = missing.model
    rate = Rate(settings.embedding_requests_per_minute, settings.embedding_tokens_per_minute)
    dispatcher = Dispatcher(provider, model.dimensions, budget, rate, settings.embedding_patience_seconds)
    texts = staged_texts(connection, missing, provider, run)
    requests = pack_requests(texts, provider.limits, settings.embedding_batch_size)
    with progress(f"embedding with {model.name}", run.rows_in) as advance, _stopping_at_ctrl_c(dispatcher.stop):
        for outcome in dispatcher.outcomes(requests):
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
def _stopping_at_ctrl_c(stop: threading.Event) -> Iterator[None]:
    """Set ``stop`` at the first Ctrl-C, so that requests in flight, which are paid for, are kept; the second aborts."""
    if threading.current_thread() is not threading.main_thread():  # dbt runs jobs in threads and handles Ctrl-C itself
        yield
        return

    def handle(*_: object) -> None:
        say("finishing the requests that are under way; Ctrl-C again abandons them")
        signal.signal(signal.SIGINT, previous_handler)
        interrupted.set()
        stop.set()

    interrupted = threading.Event()
    previous_handler = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous_handler)
    if interrupted.is_set():
        raise KeyboardInterrupt
