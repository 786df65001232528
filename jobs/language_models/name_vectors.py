"""Embeddings of item names that a language model made up; ``ml.embeddings`` keeps them, so each is bought only once."""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from jobs.core.arrays import Floats
from jobs.dbt_vars import EmbeddingModel
from jobs.embedding.batching import cut_to_token_limit, pack_requests
from jobs.embedding.budget import Budget, BudgetExceeded
from jobs.embedding.provider import DirectProvider, RateLimits
from jobs.embedding.providers import provider_for
from jobs.embedding.request_dispatcher import Dispatcher
from jobs.embedding.stored_vectors import store_vectors
from jobs.errors import UsageError
from jobs.progress import say
from jobs.settings import Settings
from jobs.warehouse.connection import Connection

SELECT_STORED_VECTORS = """
    select text_hash, embedding from ml.embeddings
    where embedding_model = $embedding_model and dimensions = $dimensions and embedding is not null
        and text_hash in (select unnest($hashes))
"""


def embed_names(
    connection: Connection,
    settings: Settings,
    made_up_item_names: Sequence[str],
    max_cost: float,
    count_spending: Callable[[float], None],
) -> dict[str, Floats]:
    """Return unit-length embeddings of item names, by the embedding model that the settings name.

    Embeddings that the warehouse has not stored are bought.

    Parameters
    ----------
    made_up_item_names : sequence of str
        Names of items that a language model made up.
    max_cost : float
        The spending limit for embeddings that have to be bought, in US dollars.
    count_spending : float -> None
        Called with the money that was spent, in US dollars, also if an error ends the purchase.

    Returns
    -------
    item name -> float32 array (dimensions,)
        Names that have no embedding are absent.

    Raises
    ------
    UsageError
        If the embedding model has no known price, or the vectors would cost more than ``max_cost``.
    """
    hashes = {name: hashlib.sha256(name.encode()).hexdigest() for name in made_up_item_names}
    embedding_model = settings.job_vars().chosen_embedding_model
    # A request to OpenAI's Batch API takes up to a day; direct requests give the same embeddings at once.
    if embedding_model.provider == "openai-batch":
        embedding_model = embedding_model.model_copy(update={"provider": "openai"})
    vectors = _stored_vectors(connection, embedding_model, list(hashes.values()))
    missing_names_with_hashes = [(text_hash, name) for name, text_hash in hashes.items() if text_hash not in vectors]
    if missing_names_with_hashes:
        _buy_vectors(connection, settings, embedding_model, missing_names_with_hashes, max_cost, count_spending)
        vectors |= _stored_vectors(connection, embedding_model, list(hashes.values()))
    by_name = {name: vectors[text_hash] for name, text_hash in hashes.items() if text_hash in vectors}
    return {name: vector / np.linalg.norm(vector) for name, vector in by_name.items()}


def _stored_vectors(
    connection: Connection, embedding_model: EmbeddingModel, text_hashes: list[str]
) -> dict[str, Floats]:
    rows = connection.execute(
        SELECT_STORED_VECTORS, {**embedding_model.values_of_key_columns, "hashes": text_hashes}
    ).fetchall()
    return {text_hash: np.array(vector, np.float32) for text_hash, vector in rows}


def _buy_vectors(
    connection: Connection,
    settings: Settings,
    embedding_model: EmbeddingModel,
    missing_names_with_hashes: list[tuple[str, str]],
    max_cost: float,
    count_spending: Callable[[float], None],
) -> None:
    """Buy and store the embeddings of pairs (text_hash, item name)."""
    provider = provider_for(settings, embedding_model)
    assert isinstance(provider, DirectProvider)  # noqa: S101 - only the provider openai-batch is not direct
    if provider.usd_per_million_tokens is None:
        raise UsageError(
            f"llmseqprompt: embeddings of made-up names need a price: nextmart doesn't know that of "
            f"{embedding_model.name}. Set it, in US dollars a million tokens: "
            f'[vars.embedding_models."{embedding_model.name}"] price = …, '
            "or set mapping = 'fuzzy' or 'none'"
        )
    rate = RateLimits(settings.embedding_requests_per_minute, settings.embedding_tokens_per_minute)
    budget = Budget(provider.usd_per_million_tokens, max_cost)
    dispatcher = Dispatcher(provider, embedding_model.dimensions, budget, rate, settings.embedding_patience_seconds)
    texts, _ = cut_to_token_limit(missing_names_with_hashes, provider, "truncate")
    requests = pack_requests(texts, provider.request_limits, settings.embedding_batch_size)
    try:
        for outcome in dispatcher.make_requests(requests):
            if outcome.vectors is not None and len(outcome.embedded_texts):
                store_vectors(connection, embedding_model, "llmseqprompt", outcome.embedded_texts, outcome.vectors)
    finally:
        count_spending(budget.spent_usd)
    if isinstance(dispatcher.ended_by, BudgetExceeded):
        raise UsageError(
            f"llmseqprompt: the embeddings of {len(missing_names_with_hashes):,} made-up names cost more than "
            "prompt_max_cost allows: raise it, or set mapping = 'fuzzy' or 'none'"
        ) from dispatcher.ended_by
    if dispatcher.ended_by:
        say(f"llmseqprompt: some made-up names have no embedding and are dropped: {dispatcher.ended_by}")
