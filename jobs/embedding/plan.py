"""`nextmart embed --dry-run`: what a run would do and cost, and how long it would take, without spending anything."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from jobs.embedding.backlog import MissingTexts, count_missing, sample_missing
from jobs.embedding.batching import fit_to_limit
from jobs.embedding.provider import DirectProvider, Provider, Rate
from jobs.embedding.providers import provider_for
from jobs.settings import EmbeddingModel, Settings
from jobs.warehouse.connection import Connection

SAMPLE_SIZE = 1000  # texts whose tokens are counted, or all texts if there are fewer
TIMED_TEXTS = 64  # texts of the sample that a free provider embeds, to measure the speed of this machine
# Limits a minute of a new OpenAI customer (tier 1, text-embedding-3-small), for settings that give none.
NEW_CUSTOMER_RATE = Rate(requests=3000, tokens=1_000_000)
BATCH_MINUTES = 24 * 60.0  # minutes that OpenAI's Batch API may take

LAST_RUN = """
    -- the texts and minutes of the newest run that embedded enough texts to show a speed
    select
        (detail ->> '$.texts')::bigint as texts,
        date_diff('millisecond', started_at, finished_at) / 60000.0 as minutes
    from ml.job_runs
    where
        job = 'embed' and status = 'done' and rows_out >= 1000
        and (detail ->> '$.embedding_model') = $embedding_model and (detail ->> '$.provider') = $provider
    order by started_at desc
    limit 1
"""


@dataclass(frozen=True)
class Plan:
    """One way to embed the missing texts of an embedding model.

    Attributes
    ----------
    provider, embedding_model : str
    items, texts : int
        Items without a vector, and their distinct texts.
    tokens : int
        Counted, or estimated from a sample if there are more than ``SAMPLE_SIZE`` texts.
    cost : float or None
        US dollars; None if the price is unknown.
    minutes : float
        Estimated; for batches, the most that the service may take.
    """

    provider: str
    embedding_model: str
    items: int
    texts: int
    tokens: int
    cost: float | None
    minutes: float


def plans(connection: Connection, settings: Settings, retry_failed: bool = False) -> list[Plan]:
    """Return a plan for the embedding model that is set, one for each provider that gives the same vectors.

    Parameters
    ----------
    retry_failed : bool
        Whether texts that failed before are planned too.

    Raises
    ------
    UsageError
        If the embedding model or its provider does not exist.
    """
    model = settings.job_vars().embedding
    missing = MissingTexts(model, retry_failed, settings.embedding_too_long == "truncate")
    items, texts, size = count_missing(connection, missing)
    sample = sample_missing(connection, missing, SAMPLE_SIZE)
    result = []
    for name in equivalent_providers(model):
        provider = provider_for(settings, model.model_copy(update={"provider": name}))
        rows = [("", text) for text in sample]
        # If no text is missing, the provider's tokenizer is not loaded.
        accepted = fit_to_limit(rows, provider, settings.embedding_too_long)[0] if sample else []
        sample_tokens = sum(text.tokens for text in accepted)
        # The number of tokens is nearly proportional to the bytes: the sample gives the ratio.
        tokens = round(sample_tokens * size / max(1, sum(len(text.encode()) for text in sample)))
        cost = None if provider.price is None else tokens * provider.price / 1e6
        minutes = _minutes(connection, settings, model, name, provider, sample, texts, tokens)
        result.append(Plan(name, model.name, items, texts, tokens, cost, minutes))
    return result


def equivalent_providers(model: EmbeddingModel) -> list[str]:
    """Return the model's provider, then others with the same vectors: OpenAI sells each directly and in batches."""
    openai = ["openai", "openai-batch"]
    return sorted(openai, key=lambda name: name != model.provider) if model.provider in openai else [model.provider]


def summary(plans: list[Plan]) -> dict[str, Any]:
    """Return plans as a dictionary, to be printed as JSON."""
    return {"job": "embed", "status": "planned", "plans": [asdict(plan) for plan in plans]}


def _minutes(
    connection: Connection,
    settings: Settings,
    model: EmbeddingModel,
    name: str,
    provider: Provider,
    sample: list[str],
    texts: int,
    tokens: int,
) -> float:
    """Estimate the minutes of a run: by the last run, by a measurement if that is free, or by the service's limits."""
    if not texts:
        return 0.0
    if not isinstance(provider, DirectProvider):
        return BATCH_MINUTES
    last_run = connection.execute(LAST_RUN, {"embedding_model": model.name, "provider": name}).fetchone()
    if last_run and last_run[1]:
        return float(texts * last_run[1] / last_run[0])
    if provider.price == 0:
        timed = sample[:TIMED_TEXTS]
        threads = provider.requests_in_flight
        shares = [timed[start::threads] for start in range(min(threads, len(timed)))]
        started = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:  # as many threads as a run uses
            list(pool.map(provider.embed, shares))
        return (time.perf_counter() - started) / 60 * texts / len(timed)
    rate = Rate(settings.embedding_requests_per_minute, settings.embedding_tokens_per_minute)
    requests = texts / settings.embedding_batch_size
    assert NEW_CUSTOMER_RATE.requests and NEW_CUSTOMER_RATE.tokens  # noqa: S101, PT018 - for the type checker
    return max(
        requests / (rate.requests or NEW_CUSTOMER_RATE.requests), tokens / (rate.tokens or NEW_CUSTOMER_RATE.tokens)
    )
