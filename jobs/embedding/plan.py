"""`nextmart embed --dry-run`: what a run would do, cost and take; nothing is asked for that costs money."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from jobs.embedding.backlog import MissingTexts, measure, sample
from jobs.embedding.batching import fitted
from jobs.embedding.provider import DirectProvider, Provider, Rate, provider_for
from jobs.settings import EmbeddingModel, Settings
from jobs.warehouse.connection import Connection

SAMPLE = 1000  # texts whose tokens are counted; all of them, where there are no more
TIMED = 64  # of them embedded, where that is free, to see how fast this machine is
# what OpenAI allows a new customer a minute (tier 1, text-embedding-3-small), where the settings say nothing
NEW_CUSTOMER = Rate(requests=3000, tokens=1_000_000)
BATCH_MINUTES = 24 * 60.0  # the time that a batch may take

LAST_RUN = """
    -- how fast the newest run was that did enough to tell
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
    """One way to give a model's missing texts their vectors.

    Attributes
    ----------
    items, texts : int
        Items without a vector, and their unique texts.
    tokens : int
        Counted, or estimated from a sample where there are many texts.
    cost : float or None
        US dollars; None where the price is unknown.
    minutes : float
        For a batch, the most that it may take.
    """

    provider: str
    embedding_model: str
    items: int
    texts: int
    tokens: int
    cost: float | None
    minutes: float


def plans(connection: Connection, settings: Settings, retry_failed: bool = False) -> list[Plan]:
    """Return a plan for the embedding model that is set, and for the other way to the same vectors if there is one."""
    model = settings.job_vars().embedding
    wanted = MissingTexts(model, retry_failed, settings.embedding_too_long == "truncate")
    items, texts, size = measure(connection, wanted)
    examples = sample(connection, wanted, SAMPLE)
    found = []
    for name in same_vectors(model):
        provider = provider_for(settings, model.model_copy(update={"provider": name}))
        # what is sent of them; without any, no provider is loaded
        sent = fitted([("", text) for text in examples], provider, settings.embedding_too_long)[0] if examples else []
        counted = sum(text.tokens for text in sent)
        # tokens follow bytes closely: the sample gives the ratio
        tokens = round(counted * size / max(1, sum(len(text.encode()) for text in examples)))
        cost = None if provider.price is None else tokens * provider.price / 1e6
        minutes = _minutes(connection, settings, model, name, provider, examples, texts, tokens)
        found.append(Plan(name, model.name, items, texts, tokens, cost, minutes))
    return found


def same_vectors(model: EmbeddingModel) -> list[str]:
    """Return the model's provider, then others that give the same vectors: OpenAI sells each in two ways."""
    ways = ["openai", "openai-batch"]
    return sorted(ways, key=lambda way: way != model.provider) if model.provider in ways else [model.provider]


def summary(found: list[Plan]) -> dict[str, Any]:
    """Return the plans for machines."""
    return {"job": "embed", "status": "planned", "plans": [asdict(plan) for plan in found]}


def _minutes(
    connection: Connection, settings: Settings, model: EmbeddingModel, name: str, provider: Provider,
    examples: list[str], texts: int, tokens: int,
) -> float:  # fmt: skip
    if not texts:
        return 0.0
    if not isinstance(provider, DirectProvider):
        return BATCH_MINUTES
    last = connection.execute(LAST_RUN, {"embedding_model": model.name, "provider": name}).fetchone()
    if last and last[1]:
        return float(texts * last[1] / last[0])
    if provider.price == 0:
        timed = examples[:TIMED]
        shares = [timed[start :: provider.at_once] for start in range(min(provider.at_once, len(timed)))]
        started = time.perf_counter()
        with ThreadPoolExecutor(provider.at_once) as pool:  # as a run does
            list(pool.map(provider.embed, shares))
        return (time.perf_counter() - started) / 60 * texts / len(timed)
    rate = Rate(settings.embedding_requests_per_minute, settings.embedding_tokens_per_minute)
    requests = texts / settings.embedding_batch_size
    assert NEW_CUSTOMER.requests and NEW_CUSTOMER.tokens  # noqa: S101, PT018 - for the type checker
    return max(requests / (rate.requests or NEW_CUSTOMER.requests), tokens / (rate.tokens or NEW_CUSTOMER.tokens))
