"""LLMSeqSim: recommend the items that are nearest to the sequence's items in the LLM's embedding space.

Source: Harte et al. 2023 (arXiv 2309.09261), section 3.1. Decays and reductions are those of the extended paper
(arXiv 2402.01339).
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from jobs.core.arrays import Bools, State
from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.models.base import FitOptions, Model
from jobs.models.hyperparameter_choice import (
    chosen_parameters_from_state,
    chosen_parameters_to_state,
    set_best_recency_weight,
)
from jobs.models.projection import RANDOM_REDUCTIONS, REDUCTION_DEFAULTS, REDUCTION_NAMES, Projection
from jobs.models.recency_correction import RecencyCorrection
from jobs.models.scorer import Scorer, VectorScorer
from jobs.models.session_vectors import DECAYS, fit_reduction, session_vectors, unit_item_vectors


class LLMSeqSim(Model):
    """Score of an item = similarity of its embedding to the age-weighted mean of the sequence's item embeddings.

    Nothing is trained by gradient descent. Item vectors have length 1, so without the recency correction the three
    similarities (cosine, inner product, minus the squared Euclidean distance) order the items alike. They differ
    in scale, so the same weight of the correction has a different effect on each.

    Hyper-parameters
    ----------------
    decay : str
        Key of ``DECAYS``: how the weight of a sequence's items falls with their age.
    similarity : str
        ``cosine``, ``dot`` or ``euclidean``.
    reduction : str
        ``none``, or a reduction of the embeddings, one of ``REDUCTION_NAMES``.
    width : int
        Size of the reduced vectors.
    recency : float
        Weight of the recency correction; 0 switches it off, as in arXiv 2309.09261 and 2402.01339.
    """

    family = "llmseqsim"
    defaults = {
        **REDUCTION_DEFAULTS,
        "decay": "squared_harmonic",
        "similarity": "cosine",
        "reduction": "none",
        "width": 256,
        "recency": 0.05,
    }
    allowed_values = {
        "decay": DECAYS,
        "similarity": ["cosine", "dot", "euclidean"],
        "reduction": ["none", *REDUCTION_NAMES],
    }
    uses_embeddings = True
    values_to_try: ClassVar[Mapping[str, Sequence[Any]]] = {"recency": ()}
    projection: Projection | None = None
    recency_correction: RecencyCorrection | None = None

    @property
    def depends_on_seed(self) -> bool:
        """Whether the fitted model depends on the seed: only if the reduction of the embeddings is random."""
        return self.parameters["reduction"] in RANDOM_REDUCTIONS

    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, fit_options: FitOptions) -> None:
        """Fit the reduction of the embeddings, if there is one; estimate the recency correction and its weight."""
        self.projection = fit_reduction(self.parameters, catalog, fit_options.seed)
        self.recency_correction = RecencyCorrection.from_sequences(train_sequences, catalog)
        set_best_recency_weight(self, validation, catalog, fit_options.allow_repeats)

    def state(self) -> State:
        """Return the reduction and the recency correction, but not the embeddings, which ``ml.embeddings`` stores."""
        parts = (self.projection, self.recency_correction)
        arrays = {name: array for part in parts if part for name, array in part.state().items()}
        return {**arrays, **chosen_parameters_to_state(self.chosen_parameters)}

    def restore(self, state: State, training_catalog: Catalog) -> None:
        """Load the reduction, the recency correction and its weight, which :meth:`state` returned."""
        self.chosen_parameters = chosen_parameters_from_state(state, self.parameters, [*self.values_to_try])
        self.projection = Projection.from_state(state)
        self.recency_correction = RecencyCorrection.from_state(state, training_catalog)

    def scorer(self, catalog: Catalog) -> Scorer:
        """Return a scorer of all items with an embedding, cold items (without training sequences) included."""
        vectors = unit_item_vectors(catalog, self.projection)
        has_vector: Bools = np.asarray(vectors.any(axis=1), dtype=np.bool_)
        similarity = self.parameters["similarity"]

        def compute_queries(sequences: Sequences) -> Tensor:
            readable = sequences.keep_items(has_vector)
            means = torch.from_numpy(session_vectors(vectors, readable, self.parameters["decay"]))
            if similarity == "cosine":
                return functional.normalize(means, dim=1)
            if similarity == "dot":
                return means
            # Euclidean similarity of the mean m and an item vector v of length 1: -|m - v|² = 2 m·v - (|m|² + 1),
            # which is the inner product of (2 m, -|m|² - 1) and (v, 1).
            constant = -means.square().sum(dim=1, keepdim=True) - 1
            return torch.cat([2 * means, constant], dim=1) * means.any(dim=1, keepdim=True)

        ones = has_vector[:, None].astype(np.float32)
        item_vectors = np.hstack([vectors, ones]) if similarity == "euclidean" else vectors
        bias = (
            self.recency_correction.item_bias(self.chosen_parameters["recency"], catalog)
            if self.recency_correction
            else None
        )
        return VectorScorer(compute_queries, torch.from_numpy(item_vectors), has_vector, item_bias=bias)
