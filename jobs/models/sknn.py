"""SKNN and V-SKNN: recommend the items of a sequence's neighbours, the training sessions most similar to it.

Sources: Jannach & Ludewig 2017; Ludewig & Jannach 2018 (arXiv 1803.09587), as evaluated in arXiv 2309.09261.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

from jobs.core.arrays import Bools, Doubles, Floats, Ints, State
from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.models.base import FitOptions, Model
from jobs.models.hyperparameter_choice import (
    chosen_parameters_from_state,
    chosen_parameters_to_state,
    set_best_recency_weight,
)
from jobs.models.reason_lift import strongest_reasons_by_lift
from jobs.models.recency_correction import RecencyCorrection
from jobs.models.scorer import Scorer, top_in_chunks
from jobs.models.session_vectors import DECAYS, age_weights
from jobs.models.sparse_ranking import SparseMatrix, top_of_rows

SEQUENCES_PER_CHUNK = 512  # number of sequences ranked at once; it bounds the memory for similarities and scores


class SKNN(Model):
    """Score of an item = sum of the similarities of the nearest training sessions that hold the item.

    A session is the set of its items. In the sequence to recommend for, each item counts once, at its last occurrence,
    with a weight that depends on its age.

    Hyper-parameters
    ----------------
    neighbours : int
        Number of nearest sessions.
    sample : int
        Number of sessions to compare with the sequence: the newest that share an item with it; 0 means all of these.
    similarity : str
        ``cosine`` or ``dot``.
    decay : str
        Key of ``DECAYS``: how the weight of a sequence's items falls with their age.
    idf : bool
        Whether an item's score is multiplied by 1 + ln(sessions / sessions that hold the item).
    recency : float
        Weight w of the recency correction. An item's score is multiplied by (q / p)^w: q is the item's share of the
        newest demand, p its share of the whole history (:mod:`jobs.models.recency_correction`). Weight 0 gives SKNN as
        published, without a correction.
    """

    family = "sknn"
    defaults = {
        "neighbours": 100,
        "sample": 0,
        "similarity": "cosine",
        "decay": "mean",
        "idf": False,
        "recency": 0.7,
    }
    allowed_values = {"similarity": ["cosine", "dot"], "decay": DECAYS}
    values_to_try: ClassVar[Mapping[str, Sequence[Any]]] = {"recency": ()}

    @property
    def depends_on_seed(self) -> bool:
        """Whether the fitted model depends on the seed: no, a sample takes the newest sessions, not random ones."""
        return False

    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, fit_options: FitOptions) -> None:
        """Keep the training sessions, oldest first, as the model; estimate the recency correction and its weight."""
        self._memorize_sessions(train_sequences, catalog, fit_options)
        set_best_recency_weight(self, validation, catalog, fit_options.allow_repeats)

    def _memorize_sessions(self, train_sequences: Sequences, catalog: Catalog, fit_options: FitOptions) -> None:
        self.training_catalog, self.sessions = catalog, train_sequences
        self.recency_correction = RecencyCorrection.from_sequences(train_sequences, catalog)

    def state(self) -> State:
        """Return the training sessions, the recency correction and its chosen weight."""
        sessions: State = {"items": self.sessions.items, "offsets": self.sessions.offsets}
        return {**sessions, **self.recency_correction.state(), **chosen_parameters_to_state(self.chosen_parameters)}

    def restore(self, state: State, training_catalog: Catalog) -> None:
        """Load the training sessions, the recency correction and its weight, which :meth:`state` returned."""
        self.chosen_parameters = chosen_parameters_from_state(state, self.parameters, [*self.values_to_try])
        self.training_catalog, self.sessions = training_catalog, Sequences(state["items"], state["offsets"])
        self.recency_correction = RecencyCorrection.from_state(state, training_catalog)

    def scorer(self, catalog: Catalog) -> Scorer:
        """Return a scorer of the items that training sessions hold and that are still in the catalogue."""
        return NeighbourScorer(
            *self._session_item_matrix_and_lengths(catalog),
            self.recency_correction.log_ratios_for_catalog(catalog),
            self.parameters_in_use,
        )

    def _session_item_matrix_and_lengths(self, catalog: Catalog) -> tuple[SparseMatrix, npt.NDArray[np.integer]]:
        """Return which items each training session holds, and the number of its items.

        These are the arguments ``session_item_matrix`` and ``session_lengths`` of :class:`NeighbourScorer`.
        """
        shape = (len(self.sessions), len(self.training_catalog.item_ids))
        rows, columns = self.sessions.row_of_each_item(), self.sessions.items
        trained_items = sparse.coo_array((np.ones(len(columns)), (rows, columns)), shape=shape).tocsr().tocoo()
        # items removed from the catalogue count in the lengths, so that the scores of the remaining items stay the same
        lengths = np.bincount(trained_items.row, minlength=len(self.sessions))
        index = catalog.find_indices(self.training_catalog.item_ids)[trained_items.col]
        in_catalog = index >= 0
        entries = (np.ones(in_catalog.sum()), (trained_items.row[in_catalog], index[in_catalog]))
        return sparse.csr_array(entries, shape=(len(self.sessions), len(catalog))), lengths


class VSKNN(SKNN):
    """V-SKNN: a variant of SKNN in which a sequence's newest items weigh most, and rare items score higher."""

    family = "vsknn"
    defaults = {**SKNN.defaults, "similarity": "dot", "decay": "harmonic", "idf": True}


class NeighbourScorer(Scorer):
    """Scorer of SKNN: it finds a sequence's nearest training sessions and scores their items.

    Parameters
    ----------
    session_item_matrix : sparse float64 array (sessions, items)
        1 if the session holds the item of the catalogue, else 0.
    session_lengths : int array (sessions,)
        Number of distinct items of each session, including items that are no longer in the catalogue.
    recency_log_ratios : float32 array (items,)
        Log-ratio of each item's recency correction, see :class:`RecencyCorrection`.
    hyperparameters : dict
        The hyper-parameters of the model.
    """

    scores_ignore_allowed_mask_and_k = True

    def __init__(
        self,
        session_item_matrix: SparseMatrix,
        session_lengths: npt.NDArray[np.integer],
        recency_log_ratios: Floats,
        hyperparameters: dict[str, Any],
    ) -> None:
        sessions, items = session_item_matrix.shape
        holders = np.bincount(session_item_matrix.indices, minlength=items)  # number of sessions that hold each item
        self.recommendable_mask = holders > 0
        self._session_item_matrix, self._item_session_matrix = session_item_matrix, session_item_matrix.T.tocsr()
        self._norms = np.sqrt(np.maximum(session_lengths, 1))
        idf = 1 + np.log(sessions / np.maximum(holders, 1)) if hyperparameters["idf"] else np.ones(items)
        self._item_weights = idf * np.exp(hyperparameters["recency"] * recency_log_ratios)
        self._hyperparameters = hyperparameters

    def top(
        self, sequences: Sequences, k: int, excluded_items: Sequences | None, allowed_mask: Bools
    ) -> tuple[Floats, Ints]:
        """Return the ``k`` best items of each sequence's nearest sessions; fewer if these sessions hold fewer items."""

        def top_of_chunk(chunk: Sequences, excluded_items_of_chunk: Sequences | None) -> tuple[Floats, Ints]:
            item_sums = self._neighbour_similarities(chunk) @ self._session_item_matrix
            item_sums.data *= self._item_weights[item_sums.indices]
            return top_of_rows(item_sums, k, excluded_items_of_chunk, allowed_mask)

        return top_in_chunks(top_of_chunk, sequences, k, excluded_items, SEQUENCES_PER_CHUNK)

    def reason_items(self, sequences: Sequences, recommended_items: Ints, allowed_mask: Bools | None = None) -> Ints:
        """Return the reason for each recommended item: an item of the sequence that adds much to its score.

        It adds much compared with what it adds to the scores of the other listed items
        (:mod:`jobs.models.reason_lift`). It adds to a score through each neighbour session that holds both items.
        """
        reasons = super().reason_items(sequences, recommended_items)
        for start in range(0, len(sequences), SEQUENCES_PER_CHUNK):
            rows = np.arange(start, min(start + SEQUENCES_PER_CHUNK, len(sequences)))
            chunk = sequences.take(rows)
            weights, neighbours = self._age_weights(chunk), self._neighbour_similarities(chunk)
            for number, row in enumerate(rows):
                entries = slice(weights.indptr[number], weights.indptr[number + 1])
                own_items, own_weights = weights.indices[entries][::-1], weights.data[entries][::-1]
                listed = np.flatnonzero(recommended_items[row] >= 0)
                if not len(own_items) or not len(listed):
                    continue
                nearest = slice(neighbours.indptr[number], neighbours.indptr[number + 1])
                held = self._session_item_matrix[neighbours.indices[nearest]]
                unit = self._session_contributions_per_shared_item(
                    neighbours.indices[nearest], neighbours.data[nearest]
                )[:, None]
                pairs = held[:, own_items].T @ (held[:, recommended_items[row, listed]] * unit)
                places = strongest_reasons_by_lift((own_weights[:, None] * pairs.toarray())[None])[0]
                reasons[row, listed] = np.where(places >= 0, own_items[places], -1)
        return reasons

    def _age_weights(self, sequences: Sequences) -> SparseMatrix:
        """Return the age weights of each sequence's distinct items, oldest first: sparse array (sequences, items)."""
        distinct = sequences.keep_last_occurrences().keep_items(self.recommendable_mask)
        weights = sparse.csr_array(
            (age_weights(distinct, self._hyperparameters["decay"]), distinct.items, distinct.offsets),
            shape=(len(distinct), len(self.recommendable_mask)),
        )
        weights.eliminate_zeros()
        return weights

    def _similarities(
        self, sequences: Sequences, age_weight_matrix: SparseMatrix, session_overlaps: SparseMatrix
    ) -> Doubles:
        """Return the similarity of each pair of a sequence and a session that share items: float64 array (pairs,).

        Parameters
        ----------
        age_weight_matrix : sparse float64 array (sequences, items)
            Age weights of the sequences' items, as :meth:`_age_weights` returns them.
        session_overlaps : sparse float64 array (sequences, sessions)
            Sum of the age weights of the items that a sequence shares with a session; one entry per pair.
        """
        if self._hyperparameters["similarity"] == "dot":
            return session_overlaps.data  # type: ignore[no-any-return]
        norms = np.sqrt(np.maximum(age_weight_matrix.multiply(age_weight_matrix).sum(axis=1), 1e-12))
        sequence_norms = np.repeat(norms, np.diff(session_overlaps.indptr))
        return session_overlaps.data / (self._norms[session_overlaps.indices] * sequence_norms)  # type: ignore[no-any-return]

    def _session_contributions_per_shared_item(
        self, session_numbers: npt.NDArray[np.integer], similarities: Doubles
    ) -> Doubles:
        """Return what a shared item of weight 1 adds, through each session, to the scores of the session's items.

        A shared item is one that both the sequence and the session hold. A factor that is equal for all sessions is
        left out.
        """
        return (
            np.ones_like(similarities)
            if self._hyperparameters["similarity"] == "dot"
            else 1 / self._norms[session_numbers]
        )

    def _neighbour_similarities(self, sequences: Sequences) -> SparseMatrix:
        """Return the similarities of each sequence to its nearest sessions: sparse array (sequences, sessions)."""
        weights = self._age_weights(sequences)
        shared = weights @ self._item_session_matrix
        if self._hyperparameters["sample"]:
            shared = _keep_largest_per_row(shared, shared.indices, self._hyperparameters["sample"])
        shared.data = self._similarities(sequences, weights, shared)
        shared.eliminate_zeros()
        return _keep_largest_per_row(shared, shared.data, self._hyperparameters["neighbours"])


def _keep_largest_per_row(matrix: SparseMatrix, entry_values: Doubles, entries_per_row: int) -> SparseMatrix:
    """Return the matrix with only the entries of largest value in each row, at most ``entries_per_row``.

    A row stands for a sequence, a column for a session. Of sessions with equal values, the newest are kept.
    """
    kept = []
    for start, stop in zip(matrix.indptr, matrix.indptr[1:], strict=False):
        entries = slice(start, stop)
        kept.append(start + np.lexsort((-matrix.indices[entries], -entry_values[entries]))[:entries_per_row])
    positions = np.concatenate([*kept, np.empty(0, np.int64)])
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in kept])])
    return sparse.csr_array((matrix.data[positions], matrix.indices[positions], offsets), shape=matrix.shape)
