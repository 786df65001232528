"""The embed job: get a vector for each text that has none; buy each vector once, and commit after each request."""

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from jobs.embedding.backlog import (
    ITEM_TEXTS,
    MissingTextsQuery,
    read_staged_texts,
    record_empty_texts,
    stage_missing_texts,
)
from jobs.embedding.batch_api import COUNT_BATCHES_UNDER_WAY, BatchTracker, embed_in_batches
from jobs.embedding.batching import pack_requests
from jobs.embedding.budget import Budget
from jobs.embedding.provider import BatchProvider, DirectProvider, RateLimits
from jobs.embedding.providers import equivalent_provider_names, provider_for
from jobs.embedding.request_dispatcher import Dispatcher
from jobs.embedding.stored_vectors import store_failures, store_vectors
from jobs.errors import NextmartError, UsageError, redact
from jobs.progress import progress, say
from jobs.services.errors import ServiceError
from jobs.settings import Settings
from jobs.warehouse.connection import Connection
from jobs.warehouse.job_runs import JobRun

SELECT_HAS_VECTORS = """
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
        US dollars that the run may cost: a request that would exceed them is not made. None for no limit.
    retry_failed : bool
        Whether to try again the texts whose embedding failed in an earlier run.
    texts_relation : str
        Name in SQL of the table or view that holds the items' texts.
    """

    max_cost: float | None = None
    retry_failed: bool = False
    texts_relation: str = ITEM_TEXTS


def embed(
    connection: Connection, settings: Settings, run_record: JobRun, options: EmbedOptions = EmbedOptions()
) -> None:
    """Write a row of ``ml.embeddings`` for each text of ``catalog.item_texts`` that has none.

    A provider that answers at once is asked for texts that are in no batch under way; batches of the same embedding
    model that have ended are collected first.

    If the service fails, the job run's status is ``incomplete``: vectors bought so far stay, the next run asks for the
    rest, and the caller goes on with the vectors that exist.

    Raises
    ------
    NextmartError
        If the service fails and the embedding model has no vector at all.
    UsageError
        If ``options.max_cost`` is not a number, or if it is set and the price of the embedding model is unknown.
    """
    embedding_model = settings.job_vars().chosen_embedding_model
    if options.max_cost is not None and math.isnan(options.max_cost):
        raise UsageError("--max-cost is an amount in US dollars, not nan")
    missing_texts_query = MissingTextsQuery(
        embedding_model,
        options.retry_failed,
        settings.embedding_too_long == "truncate",
        options.texts_relation,
        run_record.run_id,
    )
    record_empty_texts(connection, missing_texts_query, run_record.run_id)
    run_record.rows_in = stage_missing_texts(connection, missing_texts_query)
    run_record.detail = {
        "embedding_model": embedding_model.name,
        "provider": embedding_model.provider,
        "texts": run_record.rows_in,
        "failed": 0,
        "tokens": 0,
    }
    batch_count = connection.execute(COUNT_BATCHES_UNDER_WAY, embedding_model.values_of_key_columns).fetchall()[0][0]
    if not run_record.rows_in and not batch_count:
        return  # without texts to embed or batches to collect, no provider is loaded
    provider = provider_for(settings, embedding_model)
    if options.max_cost is not None and provider.usd_per_million_tokens is None:
        raise UsageError(
            f"--max-cost needs a price: nextmart doesn't know that of {embedding_model.name}. Set it, in US dollars a "
            f'million tokens: [vars.embedding_models."{embedding_model.name}"] price = …'
        )
    budget = Budget(provider.usd_per_million_tokens, options.max_cost)
    ended_by: NextmartError | None = None
    try:
        if isinstance(provider, DirectProvider):
            if batch_count and "openai-batch" in equivalent_provider_names(embedding_model):
                ended_by = _collect_batches(connection, settings, run_record, budget, missing_texts_query)
                run_record.rows_in = stage_missing_texts(connection, missing_texts_query)
                run_record.detail["texts"] = run_record.rows_in
            if run_record.rows_in and not ended_by:
                ended_by = _embed_without_batches(
                    connection, settings, run_record, provider, budget, missing_texts_query
                )
        else:
            ended_by = embed_in_batches(
                connection, settings, run_record, cast(BatchProvider, provider), budget, missing_texts_query
            )
    finally:
        run_record.detail["tokens"], run_record.cost = budget.charged_tokens, budget.spent_usd
    if ended_by:
        run_record.status = "incomplete"
        run_record.detail["ended_by"] = redact(str(ended_by))
        if not connection.execute(SELECT_HAS_VECTORS, embedding_model.values_of_key_columns).fetchall()[0][0]:
            raise ended_by
        say(f"embed ended early; the vectors that exist will do meanwhile: {run_record.detail['ended_by']}")


def _collect_batches(
    connection: Connection,
    settings: Settings,
    run_record: JobRun,
    budget: Budget,
    missing_texts_query: MissingTextsQuery,
) -> ServiceError | None:
    """Store the results of ended batches that earlier runs have submitted with the provider ``openai-batch``.

    Returns
    -------
    ServiceError or None
        The error that ended the collection early; None if there was none.
    """
    embedding_model = missing_texts_query.embedding_model.model_copy(update={"provider": "openai-batch"})
    provider = cast(BatchProvider, provider_for(settings, embedding_model))
    batch_budget = Budget(provider.usd_per_million_tokens, max_cost=None)
    tracker = BatchTracker(connection, settings, run_record, provider, batch_budget, missing_texts_query)
    try:
        tracker.collect_results()
    except ServiceError as error:
        return error
    finally:
        budget.add_spending_of(batch_budget)
        run_record.detail["under_way"] = tracker.count_batches_under_way()[1]
    return None


def _embed_without_batches(
    connection: Connection,
    settings: Settings,
    run_record: JobRun,
    provider: DirectProvider,
    budget: Budget,
    missing_texts_query: MissingTextsQuery,
) -> NextmartError | None:
    """Embed the staged texts with a provider that answers at once, and commit each request's vectors as they arrive.

    Returns
    -------
    NextmartError or None
        The error that ended the run early; None if all requests were made.
    """
    embedding_model = missing_texts_query.embedding_model
    rate_limits = RateLimits(settings.embedding_requests_per_minute, settings.embedding_tokens_per_minute)
    dispatcher = Dispatcher(
        provider, embedding_model.dimensions, budget, rate_limits, settings.embedding_patience_seconds
    )
    texts = read_staged_texts(connection, missing_texts_query, provider, run_record)
    requests = pack_requests(texts, provider.request_limits, settings.embedding_batch_size)
    with (
        progress(f"embedding with {embedding_model.name}", run_record.rows_in) as advance,
        _stopping_at_ctrl_c(dispatcher.stop_event),
    ):
        for outcome in dispatcher.make_requests(requests):
            if outcome.vectors is not None and len(outcome.embedded_texts):
                store_vectors(connection, embedding_model, run_record.run_id, outcome.embedded_texts, outcome.vectors)
                run_record.rows_out += len(outcome.embedded_texts)
            if outcome.given_up_text_with_error:
                text, error = outcome.given_up_text_with_error
                store_failures(
                    connection, embedding_model, run_record.run_id, "failed", [(text.text_hash, redact(error))]
                )
                run_record.detail["failed"] += 1
            advance(
                len(outcome.embedded_texts) + bool(outcome.given_up_text_with_error),
                f"${budget.spent_usd:.4f}" if budget.usd_per_million_tokens else "",
            )
    return dispatcher.ended_by


@contextmanager
def _stopping_at_ctrl_c(stop_event: threading.Event) -> Iterator[None]:
    """Set ``stop_event`` at the first Ctrl-C, so that paid requests in flight can end; a second Ctrl-C aborts."""
    if threading.current_thread() is not threading.main_thread():  # dbt runs jobs in threads and handles Ctrl-C itself
        yield
        return

    def handle_first_ctrl_c(*_: object) -> None:
        say("finishing the requests that are under way; Ctrl-C again abandons them")
        signal.signal(signal.SIGINT, previous_handler)
        interrupted.set()
        stop_event.set()

    interrupted = threading.Event()
    previous_handler = signal.signal(signal.SIGINT, handle_first_ctrl_c)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous_handler)
    if interrupted.is_set():
        raise KeyboardInterrupt
