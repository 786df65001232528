"""SKNNEmb: recommend the items of the training sessions that are nearest to a sequence in the LLM's embedding space.

Source: Boz et al. 2024 (arXiv 2402.01339). Their published code weights the items of training sessions by the same
decay as the items of the sequence to recommend for; here each of the two has its own decay.
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
from jobs.models.sknn import SKNN, NeighbourScorer, SparseMatrix


class SKNNEmb(SKNN):
    """SKNN that compares sessions by the age-weighted means of their items' unit embeddings.

    Only training sessions that share an item with the sequence are compared with it. A cold item of the sequence, which
    no training session holds, counts in the sequence's mean if it has an embedding.

    Hyper-parameters
    ----------------
    sample : int
        Number of sessions to compare with the sequence: the newest that share an item with it; 0 means all of these.
    similarity : str
        ``cosine``, or ``dot``, which prefers sessions whose items are similar to each other.
    decay : str
        Weight by age of the items of the sequence to recommend for, a key of ``DECAYS``.
    training_decay : str
        Weight by age of the items of training sessions, a key of ``DECAYS``.
    reduction : str
        ``none``, or a reduction of the embeddings, a key of ``REDUCTIONS``.
    width : int
        Size of the reduced vectors.
    """

    family = "sknnemb"
    defaults = {
        **SKNN.defaults,
        **REDUCTION_DEFAULTS,
        "sample": 1000,
        "similarity": "cosine",
        "decay": "harmonic",
        "training_decay": "mean",
        "reduction": "none",
        "width": 256,
    }
    allowed = {**SKNN.allowed, "training_decay": DECAYS, "reduction": ["none", *REDUCTIONS]}
    uses_embeddings = True

    @property
    def is_random(self) -> bool:
        """Whether the fitted model depends on the seed: only if the reduction of the embeddings is random."""
        return self.parameters["reduction"] in RANDOM_REDUCTIONS

    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, fit_context: FitContext) -> None:
        """Store the training sessions, the unit vectors of their items, and the recency correction.

        The vectors are stored so that a session's mean stays the same when an item leaves the catalogue.
        """
        super().fit(train_sequences, validation, catalog, fit_context)
        self.projection = fit_reduction(self.parameters, catalog, fit_context)
        self.vectors = unit_vectors(catalog, self.projection)[np.unique(train_sequences.items)]

    def state(self) -> State:
        """Return the state of SKNN, the unit vectors of the sessions' items, and the reduction if there is one."""
        projection = self.projection.state() if self.projection else {}
        return {**super().state(), "vectors": self.vectors, **projection}

    def restore(self, state: State, trained_on: Catalog) -> None:
        """Load the sessions, vectors and reduction that :meth:`state` returned."""
        super().restore(state, trained_on)
        self.projection = Projection.from_state(state)
        self.vectors = state["vectors"]

    def scorer(self, catalog: Catalog) -> Scorer:
        """Return a scorer of the items that training sessions hold and that are still in the catalogue."""
        vector_index = np.unique(self.sessions.items, return_inverse=True)[1].astype(np.int32)
        has_vector: Bools = np.asarray(self.vectors.any(axis=1), dtype=np.bool_)
        readable = Sequences(vector_index, self.sessions.offsets).distinct().keep(has_vector)
        sessions = session_vectors(self.vectors, readable, self.parameters["training_decay"])
        items = unit_vectors(catalog, self.projection)
        recency = self.recency.for_catalog(catalog)
        return EmbeddingScorer(*self._session_items(catalog), recency, self.parameters, sessions, items)


class EmbeddingScorer(NeighbourScorer):
    """Scorer of SKNNEmb: the similarity of a training session to a sequence is that of their session vectors.

    Only sessions that share an item with the sequence are compared. A session with a similarity of 0 or less is not a
    neighbour.

    Parameters
    ----------
    session_items, lengths, recency, parameters
        See :class:`NeighbourScorer`.
    sessions : float32 array (sessions, width)
        Session vectors of the training sessions.
    items : float32 array (items, width)
        Unit vectors of the catalogue's items; zeros for an item without an embedding.
    """

    def __init__(
        self,
        session_items: SparseMatrix,
        lengths: npt.NDArray[np.integer],
        recency: Floats,
        parameters: dict[str, Any],
        sessions: Floats,
        items: Floats,
    ) -> None:
        # the decay "mean" gives every item a weight above 0, so that any shared item makes a session comparable
        super().__init__(session_items, lengths, recency, {**parameters, "decay": "mean"})
        self._decay = parameters["decay"]
        self._sessions = self._normalized(sessions)
        self._items = items
        self._has_vector: Bools = np.asarray(items.any(axis=1), dtype=np.bool_)

    def _normalized(self, vectors: Floats) -> Floats:
        """Return the vectors scaled to length 1 for cosine similarity, and unchanged for the inner product."""
        if self._parameters["similarity"] == "dot":
            return vectors
        return np.asarray(functional.normalize(torch.from_numpy(vectors), dim=1))

    def _similarities(self, sequences: Sequences, weights: SparseMatrix, shared_weights: SparseMatrix) -> Doubles:
        """Return the similarity of the session vectors of each pair in ``shared_weights``, 0 for negative ones."""
        readable = sequences.distinct().keep(self._has_vector)
        queries = self._normalized(session_vectors(self._items, readable, self._decay))
        similarities = np.zeros(len(shared_weights.data))
        for row, query in enumerate(queries):
            entries = slice(shared_weights.indptr[row], shared_weights.indptr[row + 1])
            # equal sessions must get bitwise equal similarities, wherever they stand in the matrix: einsum ensures it,
            # BLAS not
            similarities[entries] = np.einsum("sw,w->s", self._sessions[shared_weights.indices[entries]], query)
        return similarities.clip(min=0)

    def _contribution(self, sessions: npt.NDArray[np.integer], similarities: Doubles) -> Doubles:
        """Return how much each session adds to its items' scores: its similarity, whichever item is shared."""
        return similarities
