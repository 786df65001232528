"""Embeddings of names that a language model made up, in the space of the catalogue's: bought once, kept beside them."""

import hashlib
from collections.abc import Sequence

import numpy as np

from jobs.core.arrays import Floats
from jobs.embedding.batching import fitted, requests
from jobs.embedding.budget import Budget, SpentUp
from jobs.embedding.dispatch import Dispatcher
from jobs.embedding.provider import DirectProvider, Rate, provider_for
from jobs.embedding.stored_vectors import store_vectors
from jobs.errors import UsageError
from jobs.progress import say
from jobs.settings import Settings
from jobs.warehouse.connection import Connection

KEPT = """
    select text_hash, embedding from ml.embeddings
    where embedding_model = $embedding_model and dimensions = $dimensions and embedding is not null
        and text_hash in (select unnest($hashes))
"""


def name_vectors(
    connection: Connection, settings: Settings, names: Sequence[str], max_cost: float
) -> tuple[dict[str, Floats], float]:
    """Return unit vectors of names by the embedding model that is set; names that it gives none for are absent.

    Parameters
    ----------
    max_cost : float
        What is left of ``prompt_max_cost``, in US dollars.

    Returns
    -------
    the vectors, and what they cost in US dollars

    Raises
    ------
    UsageError
        If the model is a service's and nobody said its price, or ``max_cost`` doesn't allow for the names.
    """
    hashes = {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    model = settings.job_vars().embedding
    if model.provider == "openai-batch":  # what is answered within a day is no use here; the vectors are the same
        model = model.model_copy(update={"provider": "openai"})

    def kept() -> dict[str, Floats]:
        rows = connection.execute(KEPT, {**model.key, "hashes": list(hashes.values())}).fetchall()
        return {text_hash: np.array(vector, np.float32) for text_hash, vector in rows}

    found, cost = kept(), 0.0
    missing = [(text_hash, name) for name, text_hash in hashes.items() if text_hash not in found]
    if missing:
        provider = provider_for(settings, model)
        assert isinstance(provider, DirectProvider)  # noqa: S101 - all others are
        if provider.price is None:
            raise UsageError(
                f"llmseqprompt: embeddings of made-up names need a price: nextmart doesn't know that of {model.name}. "
                f'Set it, in US dollars a million tokens: [vars.embedding_models."{model.name}"] price = …, or set '
                "mapping = 'fuzzy' or 'none'"
            )
        rate = Rate(settings.embedding_requests_per_minute, settings.embedding_tokens_per_minute)
        budget = Budget(provider.price, max_cost)
        dispatcher = Dispatcher(provider, model.dimensions, budget, rate, settings.embedding_patience_seconds)
        texts, _ = fitted(missing, provider, "truncate")
        for outcome in dispatcher.outcomes(requests(texts, provider.limits, settings.embedding_batch_size)):
            if outcome.vectors is not None and len(outcome.texts):
                store_vectors(connection, model, "llmseqprompt", outcome.texts, outcome.vectors)
        if isinstance(dispatcher.ended_by, SpentUp):
            raise UsageError(
                f"llmseqprompt: the embeddings of {len(missing):,} made-up names cost more than prompt_max_cost "
                "allows: raise it, or set mapping = 'fuzzy' or 'none'"
            ) from dispatcher.ended_by
        if dispatcher.ended_by:
            say(f"llmseqprompt: some made-up names have no embedding and are dropped: {dispatcher.ended_by}")
        found |= kept()
        cost = budget.cost
    vectors = {name: found[text_hash] for name, text_hash in hashes.items() if text_hash in found}
    return {name: vector / np.linalg.norm(vector) for name, vector in vectors.items()}, cost
