"""Session vectors: the weighted mean of the embeddings of a sequence's items, in which newer items weigh more."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch.nn import functional

from jobs.core.arrays import Doubles, Floats
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.models.projection import Projection, fit_projection

# Decay name -> function that returns the weight of an item in its sequence. ``steps_back`` is 1 for the newest item
# of the sequence, 2 for the item before it, and so on; ``length`` is the number of items in the sequence. The formulas
# are those of arXiv 2402.01339. Linear decays and their powers stay above 0, so that every item counts.
DECAYS: dict[str, Callable[[Doubles, Doubles], Doubles]] = {
    "last": lambda steps_back, _length: (steps_back == 1).astype(np.float64),
    "mean": lambda steps_back, _length: np.ones_like(steps_back),
    "constant_linear": lambda steps_back, _length: np.maximum(1e-5, 1 - 0.1 * (steps_back - 1)),
    "scaling_linear": lambda steps_back, length: np.maximum(1e-5, 1 - (steps_back - 1) / length),
    "scaling_quadratic": lambda steps_back, length: np.maximum(1e-5, 1 - (steps_back - 1) / length) ** 2,
    "scaling_cubic": lambda steps_back, length: np.maximum(1e-5, 1 - (steps_back - 1) / length) ** 3,
    "log": lambda steps_back, _length: 1 / (1 + np.log(steps_back)),
    "harmonic": lambda steps_back, _length: 1 / steps_back,
    "squared_harmonic": lambda steps_back, _length: 1 / steps_back**2,
}


def age_weights(sequences: Sequences, decay_name: str) -> Doubles:
    """Return the weight of each element of ``sequences.items`` by its age in its sequence: float64 array (items,)."""
    age = np.repeat(sequences.offsets[1:], sequences.lengths) - np.arange(len(sequences.items))
    return DECAYS[decay_name](
        age.astype(np.float64), np.repeat(sequences.lengths, sequences.lengths).astype(np.float64)
    )


def session_vectors(item_vectors: Floats, sequences: Sequences, decay_name: str) -> Floats:
    """Return the age-weighted mean of each sequence's item vectors.

    Parameters
    ----------
    item_vectors : float32 array (items, width)
        Vector of each item that the sequences index.
    sequences : Sequences
        Item indices, oldest first.
    decay_name : str
        A key of ``DECAYS``, which decides how an item's weight falls with its age.

    Returns
    -------
    float32 array (sequences, width)
        Zeros for an empty sequence.
    """
    weights = age_weights(sequences, decay_name)
    rows = sequences.row_of_each_item()
    weights /= np.bincount(rows, weights, minlength=len(sequences))[rows]
    shape = (len(sequences), len(item_vectors))
    matrix = sparse.csr_array((weights.astype(np.float32), sequences.items, sequences.offsets), shape=shape)
    return np.asarray(matrix @ item_vectors, dtype=np.float32)


def fit_reduction(hyperparameters: dict[str, Any], catalog: Catalog, seed: int) -> Projection | None:
    """Return the fitted reduction of the embeddings, or None if ``reduction`` is "none" or no item has an embedding."""
    if hyperparameters["reduction"] == "none":
        return None
    return fit_projection(
        catalog,
        hyperparameters["reduction"],
        hyperparameters["width"],
        shrinkage=hyperparameters["shrinkage"],
        seed=seed,
    )


def unit_item_vectors(catalog: Catalog, projection: Projection | None) -> Floats:
    """Return the items' embeddings, reduced and then scaled to length 1: float32 array (items, width).

    The vector is zero for an item without an embedding, and for an item whose embedding the reduction maps to zero.
    Source: arXiv 2402.01339.
    """
    vectors = catalog.embeddings
    if projection:
        vectors = np.zeros((len(catalog), projection.components.shape[1]), np.float32)
        vectors[catalog.has_embedding_mask] = projection(catalog.embeddings[catalog.has_embedding_mask])
    return np.asarray(functional.normalize(torch.from_numpy(vectors), dim=1))
