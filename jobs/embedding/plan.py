"""`nextmart embed --dry-run`: what the embed job would do and cost, and how long it would take; nothing is spent."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from jobs.dbt_vars import EmbeddingModel
from jobs.embedding.backlog import MissingTextsQuery, count_missing_texts, sample_missing_texts
from jobs.embedding.batching import cut_to_token_limit
from jobs.embedding.provider import DirectProvider, Provider, RateLimits
from jobs.embedding.providers import equivalent_provider_names, provider_for
from jobs.settings import Settings
from jobs.warehouse.connection import Connection

SAMPLE_SIZE = 1000  # missing texts whose tokens are counted (all of them, if there are fewer)
TIMED_TEXTS = 64  # sampled texts that a free provider embeds, to measure the speed of the machine
# What OpenAI allows a new customer a minute (tier 1, text-embedding-3-small): used if the settings give no limits.
NEW_CUSTOMER_LIMITS = RateLimits(requests_per_minute=3000, tokens_per_minute=1_000_000)
BATCH_MINUTES = 24 * 60.0  # minutes that OpenAI's Batch API may take to answer a batch

SELECT_LAST_RUN = """
    -- number of texts and duration in minutes of the newest embed run that is large enough to estimate the speed; a run
    -- that also collected batches (its detail has 'under_way') got vectors of more texts than it asked for
    select
        (detail ->> '$.texts')::bigint as texts,
        date_diff('millisecond', started_at, finished_at) / 60000.0 as minutes
    from ml.job_runs
    where
        job = 'embed' and status = 'done' and rows_out >= 1000
        and (detail ->> '$.embedding_model') = $embedding_model and (detail ->> '$.provider') = $provider
        and (detail ->> '$.under_way') is null
    order by run_number desc nulls last, started_at desc
    limit 1
"""


@dataclass(frozen=True)
class EmbedPlan:
    """One way to embed the missing texts of an embedding model.

    Attributes
    ----------
    provider, embedding_model : str
    items, texts : int
        Items without a vector, and their distinct texts.
    tokens : int
        Tokens of the texts: counted, or estimated from a sample if there are more than ``SAMPLE_SIZE`` texts.
    cost : float or None
        US dollars; None if the price is unknown.
    minutes : float
        Estimated duration; for batches, the most that the service may take.
    """

    provider: str
    embedding_model: str
    items: int
    texts: int
    tokens: int
    cost: float | None
    minutes: float


def plan_embedding(connection: Connection, settings: Settings, retry_failed: bool = False) -> list[EmbedPlan]:
    """Return one plan of the next embed run for each provider that sells the chosen embedding model's vectors.

    Parameters
    ----------
    retry_failed : bool
        Whether the plans include texts whose embedding failed before.

    Raises
    ------
    UsageError
        If the embedding model or its provider does not exist.
    """
    embedding_model = settings.job_vars().chosen_embedding_model
    missing_texts_query = MissingTextsQuery(embedding_model, retry_failed, settings.embedding_too_long == "truncate")
    item_count, text_count, total_bytes = count_missing_texts(connection, missing_texts_query)
    sampled_texts = sample_missing_texts(connection, missing_texts_query, SAMPLE_SIZE)
    planned = []
    for provider_name in equivalent_provider_names(embedding_model):
        provider = provider_for(settings, embedding_model.model_copy(update={"provider": provider_name}))
        rows = [("", text) for text in sampled_texts]
        # If no text lacks a vector, the provider's tokenizer is not loaded.
        accepted = cut_to_token_limit(rows, provider, settings.embedding_too_long)[0] if sampled_texts else []
        sample_tokens = sum(text.token_count for text in accepted)
        # A text's number of tokens is nearly proportional to its bytes; the sample gives the ratio.
        token_count = round(sample_tokens * total_bytes / max(1, sum(len(text.encode()) for text in sampled_texts)))
        cost = None if provider.usd_per_million_tokens is None else token_count * provider.usd_per_million_tokens / 1e6
        minutes = _estimated_minutes(
            connection, settings, embedding_model, provider_name, provider, sampled_texts, text_count, token_count
        )
        planned.append(
            EmbedPlan(provider_name, embedding_model.name, item_count, text_count, token_count, cost, minutes)
        )
    return planned


def plans_as_dictionary(plans: list[EmbedPlan]) -> dict[str, Any]:
    """Return the plans of the embed job as a dictionary, to be printed as JSON."""
    return {"job": "embed", "status": "planned", "plans": [asdict(plan) for plan in plans]}


def _estimated_minutes(
    connection: Connection,
    settings: Settings,
    embedding_model: EmbeddingModel,
    provider_name: str,
    provider: Provider,
    sampled_texts: list[str],
    text_count: int,
    token_count: int,
) -> float:
    """Estimate how many minutes a run takes.

    The estimate is made from the speed of the last run. If there was none, it is made from a measurement where the
    provider is free, and from the service's rate limits where it is not.
    """
    if not text_count:
        return 0.0
    if not isinstance(provider, DirectProvider):
        return BATCH_MINUTES
    last_run = connection.execute(
        SELECT_LAST_RUN, {"embedding_model": embedding_model.name, "provider": provider_name}
    ).fetchone()
    if last_run and last_run[1]:
        return float(text_count * last_run[1] / last_run[0])
    if provider.usd_per_million_tokens == 0:
        timed_texts = sampled_texts[:TIMED_TEXTS]
        threads = provider.max_requests_in_flight
        texts_by_thread = [timed_texts[start::threads] for start in range(min(threads, len(timed_texts)))]
        started = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(provider.embed, texts_by_thread))
        return (time.perf_counter() - started) / 60 * text_count / len(timed_texts)
    rate_limits = RateLimits(settings.embedding_requests_per_minute, settings.embedding_tokens_per_minute)
    requests = text_count / settings.embedding_batch_size
    assert NEW_CUSTOMER_LIMITS.requests_per_minute and NEW_CUSTOMER_LIMITS.tokens_per_minute  # noqa: S101, PT018 - tells the type checker that neither is None
    return max(
        requests / (rate_limits.requests_per_minute or NEW_CUSTOMER_LIMITS.requests_per_minute),
        token_count / (rate_limits.tokens_per_minute or NEW_CUSTOMER_LIMITS.tokens_per_minute),
    )
