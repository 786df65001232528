"""SKNN on embeddings: neighbours are the training sessions nearest in the LLM's embedding space.

The extended paper's SKNNEmb (Boz et al. 2024, arXiv 2402.01339). Its published code weighs training sessions by the
decay of the sequence that asks; here each has its own.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from jobs.core.arrays import Bools, Doubles, Floats, State
from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.models.base import FitContext
from jobs.models.reductions import RANDOM_REDUCTIONS, REDUCTION_DEFAULTS, REDUCTIONS, Projection
from jobs.models.scorer import Scorer
from jobs.models.session_vectors import DECAYS, fit_reduction, session_vectors, unit_vectors
from jobs.models.sknn import SKNN, Matrix, NeighbourScorer


class SKNNEmb(SKNN):
    """SKNN whose sessions, sharing an item, are compared by the weighted means of their items' unit vectors.

    A sequence's items without events are read too, where they have an embedding, but find no sessions.
    """

    family = "sknnemb"
    defaults = {
        **SKNN.defaults,
        **REDUCTION_DEFAULTS,
        "sample": 1000,  # of the sessions that share an item, so many newest are compared; 0: all
        "similarity": "cosine",  # or dot, which prefers sessions whose items are alike
        "decay": "harmonic",  # weights by age of the items of the sequence that asks
        "training_decay": "mean",  # the same, of training sessions
        "reduction": "none",  # or as for initial item vectors
        "width": 256,  # of a reduction
    }
    allowed = {**SKNN.allowed, "training_decay": DECAYS, "reduction": ["none", *REDUCTIONS]}
    uses_embeddings = True

    @property
    def is_random(self) -> bool:
        """Tell whether the reduction draws; nothing else does."""
        return self.parameters["reduction"] in RANDOM_REDUCTIONS

    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, context: FitContext) -> None:
        """Keep the sessions, and their items' vectors, so that an item the catalogue loses moves no session."""
        super().fit(train_sequences, validation, catalog, context)
        self.projection = fit_reduction(self.parameters, catalog, context)
        self.vectors = unit_vectors(catalog, self.projection)[np.unique(train_sequences.items)]

    def state(self) -> State:
        """Return the sessions, the vectors of the items that they hold, and the reduction where there is one."""
        projection = self.projection.state() if self.projection else {}
        return {**super().state(), "vectors": self.vectors, **projection}

    def restore(self, state: State, trained_on: Catalog) -> None:
        """Take back a state."""
        super().restore(state, trained_on)
        self.projection = Projection.from_state(state)
        self.vectors = state["vectors"]

    def scorer(self, catalog: Catalog) -> Scorer:
        """Score the items that sessions hold and the catalogue still has."""
        index = np.unique(self.sessions.items, return_inverse=True)[1].astype(np.int32)
        known: Bools = np.asarray(self.vectors.any(axis=1), dtype=np.bool_)
        readable = Sequences(index, self.sessions.offsets).distinct().keep(known)
        sessions = session_vectors(self.vectors, readable, self.parameters["training_decay"])
        items = unit_vectors(catalog, self.projection)
        gains = self.recency.of_items(catalog)
        return EmbeddingScorer(*self._held(catalog), gains, self.parameters, sessions, items)


class EmbeddingScorer(NeighbourScorer):
    """A sequence is compared with the vectors of the sessions that share an item; what isn't alike is no neighbour.

    Parameters
    ----------
    sessions : float32 array (sessions, width)
        Held in memory, as ``items`` are.
    items : float32 array (items, width)
    """

    def __init__(
        self,
        holds: Matrix,
        lengths: npt.NDArray[np.integer],
        gains: Floats,
        parameters: dict[str, Any],
        sessions: Floats,
        items: Floats,
    ) -> None:
        super().__init__(holds, lengths, gains, {**parameters, "decay": "mean"})  # any shared item finds a session
        self._decay = parameters["decay"]
        self._sessions = self._comparable(sessions)
        self._items = items
        self._known: Bools = np.asarray(items.any(axis=1), dtype=np.bool_)

    def _comparable(self, vectors: Floats) -> Floats:
        if self._parameters["similarity"] == "dot":
            return vectors
        return np.asarray(functional.normalize(torch.from_numpy(vectors), dim=1))

    def _similarities(self, sequences: Sequences, weights: Matrix, shared: Matrix) -> Doubles:
        readable = sequences.distinct().keep(self._known)
        queries = self._comparable(session_vectors(self._items, readable, self._decay))
        found = np.zeros(len(shared.data))
        for row, query in enumerate(queries):
            near = slice(shared.indptr[row], shared.indptr[row + 1])
            # unlike BLAS, einsum gives equal sessions equal bits, wherever they stand
            found[near] = np.einsum("sw,w->s", self._sessions[shared.indices[near]], query)
        return found.clip(min=0)

    def _credit(self, sessions: npt.NDArray[np.integer], similarities: Doubles) -> Doubles:
        return similarities
