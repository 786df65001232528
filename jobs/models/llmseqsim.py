"""LLMSeqSim: recommend what is near the sequence's items in the LLM's embedding space.

Harte et al. 2023 (arXiv 2309.09261), section 3.1; decays and reductions are those of the extended paper
(arXiv 2402.01339).
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from jobs.core.arrays import Bools, State
from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.models.base import FitContext, Model
from jobs.models.recency import Recency
from jobs.models.reductions import RANDOM_REDUCTIONS, REDUCTION_DEFAULTS, REDUCTIONS, Projection
from jobs.models.scorer import Scorer, VectorScorer
from jobs.models.session_vectors import DECAYS, fit_reduction, session_vectors, unit_vectors


class LLMSeqSim(Model):
    """Score = likeness of an item to the weighted mean of the sequence's items. Nothing is trained by gradient.

    Items have vectors of length 1, so all three similarities rank alike without recency; they differ in the scores they
    give: the cosine, the inner product, or minus the squared Euclidean distance. Recency's weight is in their units.
    """

    family = "llmseqsim"
    defaults = {
        **REDUCTION_DEFAULTS,
        "decay": "squared_harmonic",  # weights of a sequence's items by age
        "similarity": "cosine",
        "reduction": "none",  # or as for initial item vectors
        "width": 256,  # of a reduction
        "recency": 0.05,  # weight of what is wanted now; the papers': 0
    }
    allowed = {
        "decay": DECAYS,
        "similarity": ["cosine", "dot", "euclidean"],
        "reduction": ["none", *REDUCTIONS],
    }
    uses_embeddings = True
    projection: Projection | None = None
    recency: Recency | None = None

    @property
    def is_random(self) -> bool:
        """Tell whether the reduction draws; nothing else does."""
        return self.parameters["reduction"] in RANDOM_REDUCTIONS

    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, context: FitContext) -> None:
        """Fit the reduction, if there is one, and count what is wanted now: the embeddings are all else there is."""
        self.projection = fit_reduction(self.parameters, catalog, context)
        self.recency = Recency.of(train_sequences, catalog)

    def state(self) -> State:
        """Return the reduction and items' recency; the vectors live in ml.embeddings."""
        parts = (self.projection, self.recency)
        return {name: array for part in parts if part for name, array in part.state().items()}

    def restore(self, state: State, trained_on: Catalog) -> None:
        """Take back a state."""
        self.projection = Projection.from_state(state)
        self.recency = Recency.from_state(state, trained_on)

    def scorer(self, catalog: Catalog) -> Scorer:
        """Score every item with an embedding, cold ones included."""
        vectors = unit_vectors(catalog, self.projection)
        known: Bools = np.asarray(vectors.any(axis=1), dtype=np.bool_)
        similarity = self.parameters["similarity"]

        def queries(sequences: Sequences) -> Tensor:
            means = torch.from_numpy(session_vectors(vectors, sequences.keep(known), self.parameters["decay"]))
            if similarity == "cosine":
                return functional.normalize(means, dim=1)
            if similarity == "dot":
                return means
            # -|m - v|² = 2 m·v - (|m|² + 1): an inner product with (v, 1), as v has length 1
            distant = -means.square().sum(dim=1, keepdim=True) - 1
            return torch.cat([2 * means, distant], dim=1) * means.any(dim=1, keepdim=True)

        one = known[:, None].astype(np.float32)
        compared = np.hstack([vectors, one]) if similarity == "euclidean" else vectors
        bias = self.recency.bias(self.parameters["recency"], catalog) if self.recency else None
        return VectorScorer(queries, torch.from_numpy(compared), known, item_bias=bias)
