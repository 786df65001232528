"""Embeddings of names that a language model made up: bought once, and kept in ``ml.embeddings`` like those of items."""

import hashlib
from collections.abc import Sequence

import numpy as np

from jobs.core.arrays import Floats
from jobs.embedding.batching import fit_to_limit, pack_requests
from jobs.embedding.budget import Budget, BudgetExceeded
from jobs.embedding.dispatch import Dispatcher
from jobs.embedding.provider import DirectProvider, RateLimits
from jobs.embedding.providers import provider_for
from jobs.embedding.stored_vectors import store_vectors
from jobs.errors import UsageError
from jobs.progress import say
from jobs.settings import EmbeddingModel, Settings
from jobs.warehouse.connection import Connection

STORED_VECTORS = """
    select text_hash, embedding from ml.embeddings
    where embedding_model = $embedding_model and dimensions = $dimensions and embedding is not null
        and text_hash in (select unnest($hashes))
"""


def embed_names(
    connection: Connection, settings: Settings, names: Sequence[str], max_cost: float
) -> tuple[dict[str, Floats], float]:
    """Return the embeddings of names, of unit length, by the embedding model of the settings.

    Parameters
    ----------
    max_cost : float
        US dollars that the embeddings may cost.

    Returns
    -------
    vectors : name -> float32 array (dimensions,)
        Names without a vector are absent.
    cost : float
        US dollars that were spent.

    Raises
    ------
    UsageError
        If the embedding model has no known price, or the vectors would cost more than ``max_cost``.
    """
    hashes = {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    model = settings.job_vars().embedding
    if model.provider == "openai-batch":  # a batch takes up to a day; direct requests give the same vectors
        model = model.model_copy(update={"provider": "openai"})
    vectors, cost = _stored_vectors(connection, model, list(hashes.values())), 0.0
    missing = [(text_hash, name) for name, text_hash in hashes.items() if text_hash not in vectors]
    if missing:
        cost = _buy_vectors(connection, settings, model, missing, max_cost)
        vectors |= _stored_vectors(connection, model, list(hashes.values()))
    by_name = {name: vectors[text_hash] for name, text_hash in hashes.items() if text_hash in vectors}
    return {name: vector / np.linalg.norm(vector) for name, vector in by_name.items()}, cost


def _stored_vectors(connection: Connection, model: EmbeddingModel, hashes: list[str]) -> dict[str, Floats]:
    rows = connection.execute(STORED_VECTORS, {**model.key, "hashes": hashes}).fetchall()
    return {text_hash: np.array(vector, np.float32) for text_hash, vector in rows}


def _buy_vectors(
    connection: Connection,
    settings: Settings,
    model: EmbeddingModel,
    missing: list[tuple[str, str]],
    max_cost: float,
) -> float:
    """Buy and store the vectors of ``missing``, rows of (text_hash, name); return the cost in US dollars."""
    provider = provider_for(settings, model)
    assert isinstance(provider, DirectProvider)  # noqa: S101 - only the provider openai-batch is not direct
    if provider.price is None:
        raise UsageError(
            f"llmseqprompt: embeddings of made-up names need a price: nextmart doesn't know that of {model.name}. "
            f'Set it, in US dollars a million tokens: [vars.embedding_models."{model.name}"] price = …, or set '
            "mapping = 'fuzzy' or 'none'"
        )
    rate = RateLimits(settings.embedding_requests_per_minute, settings.embedding_tokens_per_minute)
    budget = Budget(provider.price, max_cost)
    dispatcher = Dispatcher(provider, model.dimensions, budget, rate, settings.embedding_patience_seconds)
    texts, _ = fit_to_limit(missing, provider, "truncate")
    for outcome in dispatcher.outcomes(pack_requests(texts, provider.limits, settings.embedding_batch_size)):
        if outcome.vectors is not None and len(outcome.texts):
            store_vectors(connection, model, "llmseqprompt", outcome.texts, outcome.vectors)
    if isinstance(dispatcher.ended_by, BudgetExceeded):
        raise UsageError(
            f"llmseqprompt: the embeddings of {len(missing):,} made-up names cost more than prompt_max_cost "
            "allows: raise it, or set mapping = 'fuzzy' or 'none'"
        ) from dispatcher.ended_by
    if dispatcher.ended_by:
        say(f"llmseqprompt: some made-up names have no embedding and are dropped: {dispatcher.ended_by}")
    return budget.cost
