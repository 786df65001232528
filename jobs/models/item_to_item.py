"""The common base of the linear item-to-item models EASE, ItemKNN and Markov.

The score of an item is a sum over the items of a sequence. Each of these adds a product: its weight by age, times the
learnt weight from it to the scored item. The families differ in how they learn the weights between items.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final

import numpy as np
from scipy import sparse

from jobs.core.arrays import Bools, Doubles, Floats, Ints, State
from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.models.base import FitOptions, Model
from jobs.models.hyperparameter_choice import (
    choose_parameter_value,
    chosen_parameters_from_state,
    chosen_parameters_to_state,
)
from jobs.models.reason_lift import strongest_reasons_by_lift
from jobs.models.recency_correction import RecencyCorrection
from jobs.models.scorer import Scorer, case_ndcgs, top_in_chunks
from jobs.models.session_vectors import DECAYS, age_weights
from jobs.models.sparse_ranking import SparseMatrix, top_of_rows

SHARED_DEFAULTS: Final[Mapping[str, Any]] = {
    "decay": "harmonic",
    "recency": 0.0,
    "weights_per_item": 200,
    "window": 200,
}
"""Defaults of the hyper-parameters that all linear item-to-item families share (see :class:`ItemToItemModel`)."""

SEQUENCES_PER_CHUNK: Final = 1024
"""Number of sequences for which items are ranked at once; it bounds the memory for scores."""


class ItemToItemModel(Model):
    """A model that scores items by learnt weights from each item to each other item.

    The fit chooses values for the hyper-parameters in ``values_to_try`` that the settings do not give, one
    hyper-parameter after the other. It takes the value with the best nDCG on the validation cases
    (:func:`jobs.models.scorer.case_ndcgs`) if it beats the default by more than chance, else the default. Without
    validation cases a hyper-parameter has its default.

    Hyper-parameters
    ----------------
    decay : str
        Key of ``DECAYS``: how the weight of a sequence's items falls with their age. Repeated items count
        once, at their last place.
    recency : float
        Weight w of the recency correction, 0 for none. An item's score is multiplied by (q / p)^w: q is the item's
        share of the newest demand, p its share of the whole history (:mod:`jobs.models.recency_correction`).
    weights_per_item : int
        Number of weights kept from each item to others: the largest. It bounds the size of the stored model, and the
        time that a list takes.
    window : int
        Number of newest items of a sequence that the fit learns from and a scorer reads.

    Attributes
    ----------
    chosen_parameters : hyper-parameter -> value
        The values of the hyper-parameters in ``values_to_try``, given or chosen.
    weights : sparse float32 array (items, items)
        Weight from a sequence's item (row) to the scored item (column); rows and columns are indices of the catalogue
        that the model was fitted with.
    """

    allowed_values = {"decay": DECAYS}
    values_to_try: ClassVar[Mapping[str, Sequence[Any]]] = {
        "decay": ["harmonic", "squared_harmonic", "log", "mean"],
        "recency": [0.0, 0.5, 1.0],
    }
    parameters_that_change_weights: ClassVar[Sequence[str]] = ()
    """The hyper-parameters in ``values_to_try`` on which the weights between items depend."""

    @property
    def depends_on_seed(self) -> bool:
        """False: no random number enters the fit of a linear item-to-item model."""
        return False

    @abstractmethod
    def _learn_weights(self, sequences: Sequences, item_count: int) -> SparseMatrix:
        """Return the weights between items, learnt with ``chosen_parameters``: sparse array (items, items).

        ``sequences`` have at most ``window`` items each.
        """

    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, fit_options: FitOptions) -> None:
        """Choose the hyper-parameters that the settings do not give, and learn the weights between items."""
        self.training_catalog = catalog
        self.recency_correction = RecencyCorrection.from_sequences(train_sequences, catalog)
        recent = train_sequences.keep_last_items(int(self.parameters["window"]))
        self.is_trained = np.bincount(recent.items, minlength=len(catalog)) > 0
        if self.parameters_to_choose and len(validation.targets):
            self._choose_hyperparameters(recent, validation, fit_options.allow_repeats)
        self.weights = self._learn_strongest_weights(recent)

    def _choose_hyperparameters(self, sequences: Sequences, validation: Cases, allow_repeats: bool) -> None:
        learnt: list[Any] | None = None

        def score_cases(hyperparameter_name: str, value: Any) -> Doubles:
            nonlocal learnt
            self.chosen_parameters[hyperparameter_name] = value
            wanted = [self.chosen_parameters[learnt_name] for learnt_name in self.parameters_that_change_weights]
            if wanted != learnt:
                self.weights, learnt = self._learn_strongest_weights(sequences), wanted
            return case_ndcgs(self.scorer(self.training_catalog), validation, allow_repeats)

        for name in self.parameters_to_choose:
            self.chosen_parameters[name] = choose_parameter_value(
                self.defaults[name], self.values_to_try[name], partial(score_cases, name)
            )

    def _learn_strongest_weights(self, sequences: Sequences) -> SparseMatrix:
        weights = self._learn_weights(sequences, len(self.training_catalog))
        return keep_strongest_weights(weights, int(self.parameters["weights_per_item"]))

    def state(self) -> State:
        """Return the fitted arrays: weights, trained items, recency correction, and chosen hyper-parameters."""
        return {
            "weights": self.weights.data,
            "columns": self.weights.indices,
            "offsets": self.weights.indptr,
            "is_trained": self.is_trained,
            **self.recency_correction.state(),
            **chosen_parameters_to_state(self.chosen_parameters),
        }

    def restore(self, state: State, training_catalog: Catalog) -> None:
        """Load the fitted arrays that :meth:`state` returned."""
        self.training_catalog, self.is_trained = training_catalog, state["is_trained"].astype(np.bool_)
        size = len(self.is_trained)
        self.weights = sparse.csr_array((state["weights"], state["columns"], state["offsets"]), shape=(size, size))
        self.recency_correction = RecencyCorrection.from_state(state, training_catalog)
        self.chosen_parameters = chosen_parameters_from_state(state, self.parameters, [*self.values_to_try])

    def scorer(self, catalog: Catalog) -> Scorer:
        """Return a scorer of the items that training sequences hold and that are still in the catalogue."""
        index = catalog.find_indices(self.training_catalog.item_ids)
        recommendable_mask = np.zeros(len(catalog), np.bool_)
        recommendable_mask[index[(index >= 0) & self.is_trained]] = True
        entries = self.weights.tocoo()
        rows, columns = index[entries.row], index[entries.col]
        is_known = (rows >= 0) & (columns >= 0)
        weights = sparse.csr_array(
            (entries.data[is_known].astype(np.float64), (rows[is_known], columns[is_known])),
            shape=(len(catalog), len(catalog)),
        )
        factors = np.exp(
            self.chosen_parameters["recency"]
            * self.recency_correction.log_ratios_for_catalog(catalog).astype(np.float64)
        )
        return ItemToItemScorer(
            weights, factors, recommendable_mask, self.chosen_parameters["decay"], int(self.parameters["window"])
        )


class ItemToItemScorer(Scorer):
    """Scorer that adds up the weights from a sequence's items to each scored item.

    Parameters
    ----------
    weights : sparse float64 array (items, items)
        Weight from a sequence's item (row) to the scored item (column).
    score_factors : float64 array (items,)
        Factors by which the scores of items are multiplied.
    recommendable_mask : bool array (items,)
        True for items that occur in training sequences.
    decay_name : str
        Key of ``DECAYS``: how the weight of a sequence's items falls with their age.
    window : int
        Number of newest items of a sequence that the scorer reads.
    """

    scores_ignore_allowed_mask_and_k = True

    def __init__(
        self, weights: SparseMatrix, score_factors: Doubles, recommendable_mask: Bools, decay_name: str, window: int
    ) -> None:
        self.recommendable_mask = recommendable_mask
        self._weights = weights.copy()
        self._weights.data *= score_factors[weights.indices]
        self._decay, self._window = decay_name, window

    def top(
        self, sequences: Sequences, k: int, excluded_items: Sequences | None, allowed_mask: Bools
    ) -> tuple[Floats, Ints]:
        """Return the ``k`` items with the largest sums of weights; fewer if fewer items have any weight."""
        return top_in_chunks(
            lambda chunk, excluded: top_of_rows(self._age_weights(chunk) @ self._weights, k, excluded, allowed_mask),
            sequences, k, excluded_items, SEQUENCES_PER_CHUNK,
        )  # fmt: skip

    def reason_items(self, sequences: Sequences, recommended_items: Ints, allowed_mask: Bools | None = None) -> Ints:
        """Return the reason for each recommended item: an item of the sequence that adds much to its score.

        It adds much compared with what it adds to the scores of the other listed items
        (:mod:`jobs.models.reason_lift`).
        """
        reasons = super().reason_items(sequences, recommended_items)
        weights = self._age_weights(sequences)
        for row in range(len(sequences)):
            entries = slice(weights.indptr[row], weights.indptr[row + 1])
            own_items, own_weights = weights.indices[entries][::-1], weights.data[entries][::-1]
            listed = np.flatnonzero(recommended_items[row] >= 0)
            if not len(own_items) or not len(listed):
                continue
            contributions = own_weights[:, None] * self._weights[own_items][:, recommended_items[row, listed]].toarray()
            places = strongest_reasons_by_lift(contributions[None])[0]
            reasons[row, listed] = np.where(places >= 0, own_items[places], -1)
        return reasons

    def _age_weights(self, sequences: Sequences) -> SparseMatrix:
        """Return the weights by age of each sequence's items, oldest first: sparse array (sequences, items)."""
        distinct = sequences.keep_last_occurrences().keep_items(self.recommendable_mask).keep_last_items(self._window)
        return sparse.csr_array(
            (age_weights(distinct, self._decay), distinct.items, distinct.offsets),
            shape=(len(distinct), len(self.recommendable_mask)),
        )


def keep_strongest_weights(weights: SparseMatrix, weights_per_row: int) -> SparseMatrix:
    """Return a sparse array with each row's ``weights_per_row`` entries of largest absolute value.

    Of entries with equal absolute values, those in the first columns are kept.

    Returns
    -------
    sparse float32 array (items, items)
    """
    weights = sparse.csr_array(weights)
    weights.sort_indices()
    kept = []
    for start, stop in zip(weights.indptr, weights.indptr[1:], strict=False):
        order = np.argsort(-np.abs(weights.data[start:stop]), kind="stable")[:weights_per_row]
        kept.append(start + np.sort(order))
    positions = np.concatenate([*kept, np.empty(0, np.int64)])
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in kept])])
    data = weights.data[positions].astype(np.float32)
    return sparse.csr_array((data, weights.indices[positions].astype(np.int32), offsets), shape=weights.shape)


def sequence_item_matrix(sequences: Sequences, item_count: int) -> SparseMatrix:
    """Return which items each sequence holds: sparse float64 array (sequences, items) of ones."""
    distinct = sequences.keep_last_occurrences()
    ones = np.ones(len(distinct.items))
    return sparse.csr_array((ones, distinct.items, distinct.offsets), shape=(len(distinct), item_count))
