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
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.models.base import FitOptions
from jobs.models.projection import RANDOM_REDUCTIONS, REDUCTION_DEFAULTS, REDUCTION_NAMES, Projection
from jobs.models.scorer import Scorer
from jobs.models.session_vectors import DECAYS, fit_reduction, session_vectors, unit_item_vectors
from jobs.models.sknn import SKNN, NeighbourScorer
from jobs.models.sparse_ranking import SparseMatrix


class SKNNEmb(SKNN):
    """A variant of SKNN that compares sessions by their vectors, the age-weighted means of their items' embeddings.

    The embeddings are first scaled to length 1. The sequence to recommend for is compared only with training sessions
    that share an item with it. A cold item of the sequence, which no training session holds, counts in the sequence's
    mean if it has an embedding.

    Hyper-parameters
    ----------------
    sample : int
        Number of sessions to compare with the sequence: the newest that share an item with it; 0 means all of these.
    similarity : str
        ``cosine``, or ``dot``, which prefers sessions whose items are similar to each other.
    decay : str
        Key of ``DECAYS``: how the weight of an item falls with its age, in the sequence to recommend for.
    training_decay : str
        Key of ``DECAYS``: the same in training sessions.
    reduction : str
        ``none``, or a reduction of the embeddings, one of ``REDUCTION_NAMES``.
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
    allowed_values = {**SKNN.allowed_values, "training_decay": DECAYS, "reduction": ["none", *REDUCTION_NAMES]}
    uses_embeddings = True

    @property
    def depends_on_seed(self) -> bool:
        """Whether the fitted model depends on the seed: only if the reduction of the embeddings is random."""
        return self.parameters["reduction"] in RANDOM_REDUCTIONS

    def _memorize_sessions(self, train_sequences: Sequences, catalog: Catalog, fit_options: FitOptions) -> None:
        """Keep the training sessions and the unit vectors of their items as the model.

        The vectors are kept so that a session's mean stays the same when an item leaves the catalogue.
        """
        super()._memorize_sessions(train_sequences, catalog, fit_options)
        self.projection = fit_reduction(self.parameters, catalog, fit_options.seed)
        self.vectors = unit_item_vectors(catalog, self.projection)[np.unique(train_sequences.items)]

    def state(self) -> State:
        """Return the state of SKNN, the unit vectors of the sessions' items, and the reduction if there is one."""
        projection = self.projection.state() if self.projection else {}
        return {**super().state(), "vectors": self.vectors, **projection}

    def restore(self, state: State, training_catalog: Catalog) -> None:
        """Load the state of SKNN, the vectors and the reduction that :meth:`state` returned."""
        super().restore(state, training_catalog)
        self.projection = Projection.from_state(state)
        self.vectors = state["vectors"]

    def scorer(self, catalog: Catalog) -> Scorer:
        """Return a scorer of the items that training sessions hold and that are still in the catalogue."""
        vector_index = np.unique(self.sessions.items, return_inverse=True)[1].astype(np.int32)
        has_vector: Bools = np.asarray(self.vectors.any(axis=1), dtype=np.bool_)
        readable = Sequences(vector_index, self.sessions.offsets).keep_last_occurrences().keep_items(has_vector)
        training_session_vectors = session_vectors(self.vectors, readable, self.parameters["training_decay"])
        item_vectors = unit_item_vectors(catalog, self.projection)
        recency = self.recency_correction.log_ratios_for_catalog(catalog)
        return SessionVectorScorer(
            *self._session_item_matrix_and_lengths(catalog),
            recency,
            self.parameters_in_use,
            training_session_vectors,
            item_vectors,
        )


class SessionVectorScorer(NeighbourScorer):
    """Scorer of SKNNEmb: a training session and a sequence are as similar as their session vectors.

    Only sessions that share an item with the sequence are compared. A session with a similarity of 0 or less is not a
    neighbour.

    Parameters
    ----------
    session_item_matrix, session_lengths, recency_log_ratios, hyperparameters
        See :class:`NeighbourScorer`.
    training_session_vectors : float32 array (sessions, width)
        Session vectors of the training sessions.
    item_vectors : float32 array (items, width)
        Unit vectors of the catalogue's items; zeros for an item without an embedding.
    """

    def __init__(
        self,
        session_item_matrix: SparseMatrix,
        session_lengths: npt.NDArray[np.integer],
        recency_log_ratios: Floats,
        hyperparameters: dict[str, Any],
        training_session_vectors: Floats,
        item_vectors: Floats,
    ) -> None:
        # The decay "mean" gives every item a weight above 0, so that a training session is compared with the sequence
        # whichever item they share.
        super().__init__(session_item_matrix, session_lengths, recency_log_ratios, {**hyperparameters, "decay": "mean"})
        self._decay = hyperparameters["decay"]
        self._training_session_vectors = self._scaled_for_similarity(training_session_vectors)
        self._item_vectors = item_vectors
        self._has_vector: Bools = np.asarray(item_vectors.any(axis=1), dtype=np.bool_)

    def _scaled_for_similarity(self, vectors: Floats) -> Floats:
        """Return the vectors scaled to length 1 for cosine similarity, and unchanged for the inner product."""
        if self._hyperparameters["similarity"] == "dot":
            return vectors
        return np.asarray(functional.normalize(torch.from_numpy(vectors), dim=1))

    def _similarities(
        self, sequences: Sequences, age_weight_matrix: SparseMatrix, session_overlaps: SparseMatrix
    ) -> Doubles:
        """Return the similarity of the session vectors of each pair in ``session_overlaps``, or 0 if it is negative."""
        readable = sequences.keep_last_occurrences().keep_items(self._has_vector)
        queries = self._scaled_for_similarity(session_vectors(self._item_vectors, readable, self._decay))
        similarities = np.zeros(len(session_overlaps.data))
        for row, query in enumerate(queries):
            entries = slice(session_overlaps.indptr[row], session_overlaps.indptr[row + 1])
            # einsum, unlike BLAS, gives equal sessions bitwise equal similarities wherever they stand in the matrix
            similarities[entries] = np.einsum(
                "sw,w->s", self._training_session_vectors[session_overlaps.indices[entries]], query
            )
        return similarities.clip(min=0)

    def _session_contributions_per_shared_item(
        self, session_numbers: npt.NDArray[np.integer], similarities: Doubles
    ) -> Doubles:
        """Return what each session adds to its items' scores: its similarity, whichever items are shared."""
        return similarities
