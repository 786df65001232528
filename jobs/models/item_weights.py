"""The common base of linear item-to-item models: EASE, ItemKNN and Markov.

The score of an item is the sum, over the items of a sequence, of (weight of the sequence's item by its age) times
(weight from this item to the scored item). The families differ in how they learn the weights between items.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
from scipy import sparse

from jobs.core.arrays import Bools, Doubles, Floats, Ints, State
from jobs.core.cases import NO_CASES, Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.models.base import FitOptions, Model
from jobs.models.recency_correction import RecencyCorrection
from jobs.models.scorer import Scorer, case_ndcgs
from jobs.models.session_vectors import DECAYS, age_weights
from jobs.models.sparse_ranking import SparseMatrix, top_of_rows

SHARED_DEFAULTS: Final[Mapping[str, Any]] = {
    "decay": "harmonic",
    "recency": 0.0,
    "weights_per_item": 200,
    "window": 200,
}
"""The hyper-parameters that all families of this kind share, see :class:`ItemWeightsModel`."""

ROWS_AT_ONCE: Final = 1024
"""Number of sequences ranked at once; it bounds the memory for their scores."""


class ItemWeightsModel(Model):
    """A model whose items have weights towards each other.

    A hyper-parameter in ``choices`` that the settings do not give is chosen on the validation cases, one after the
    other: the value with the best nDCG@20 if it beats the default by more than chance, else the default. Without
    validation cases it has its default.

    Hyper-parameters
    ----------------
    decay : str
        Weight of a sequence's items by age, a key of ``DECAYS``. Repeated items count once, at their last place.
    recency : float
        Weight of the recency correction: scores are multiplied by (an item's share of today's demand / its share of all
        history)^weight; 0 for none.
    weights_per_item : int
        Number of largest weights that are kept of each item. It bounds the stored model and the time of a list.
    window : int
        Number of newest items of a sequence that are learnt from and read.

    Attributes
    ----------
    chosen : hyper-parameter -> value
        The values of the hyper-parameters in ``choices``, given or chosen.
    weights : sparse float32 array (items, items)
        Weight from a sequence's item (row) to the scored item (column), indices of the fit's catalogue.
    """

    allowed = {"decay": DECAYS}
    choices: ClassVar[Mapping[str, Sequence[Any]]] = {
        "decay": ["harmonic", "squared_harmonic", "log", "mean"],
        "recency": [0.0, 0.5, 1.0],
    }
    learnt_with: ClassVar[Sequence[str]] = ()
    """Those of ``choices`` on which the weights between items depend."""

    def __init__(self, parameters: Mapping[str, Any] | None = None) -> None:
        super().__init__(parameters)
        self.chosen = {name: self.parameters[name] for name in self.choices}
        self._open = [name for name in self.choices if name not in (parameters or {})]

    @property
    def is_random(self) -> bool:
        """Whether the fitted model depends on the seed: no."""
        return False

    @abstractmethod
    def _learn_weights(self, sequences: Sequences, item_count: int) -> SparseMatrix:
        """Return the weights between items, sparse (items, items), learnt with the values in ``chosen``.

        ``sequences`` have at most ``window`` items each.
        """

    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, fit_options: FitOptions) -> None:
        """Choose the open hyper-parameters on the validation cases, and learn the weights between items."""
        self.fit_catalog = catalog
        self.recency = RecencyCorrection.from_sequences(train_sequences, catalog)
        recent = train_sequences.last_items(int(self.parameters["window"]))
        self.is_trained = np.bincount(recent.items, minlength=len(catalog)) > 0
        if self._open and len(validation.targets):
            self._choose(recent, validation, fit_options.allow_repeats)
        self.weights = self._strongest_weights(recent)

    def refit(self, sequences: Sequences, catalog: Catalog, fit_options: FitOptions) -> "ItemWeightsModel":
        """Return a new model with weights learnt from all sequences, and the hyper-parameters that fit has chosen."""
        model = type(self)(self.parameters)
        model.chosen = dict(self.chosen)
        model.fit(sequences, NO_CASES, catalog, fit_options)
        return model

    def _choose(self, sequences: Sequences, validation: Cases, allow_repeats: bool) -> None:
        def measure(name: str, value: Any) -> Doubles:
            self.chosen[name] = value
            if name in self.learnt_with:
                self.weights = self._strongest_weights(sequences)
            return case_ndcgs(self.scorer(self.fit_catalog), validation, allow_repeats)

        self.weights = self._strongest_weights(sequences)
        for name in self._open:
            best = default = self.defaults[name]
            ndcgs = {value: measure(name, value) for value in dict.fromkeys([default, *self.choices[name]])}
            for value, values in ndcgs.items():
                if values.mean() > ndcgs[best].mean() and beats_by_more_than_chance(values, ndcgs[default]):
                    best = value
            self.chosen[name] = best

    def _strongest_weights(self, sequences: Sequences) -> SparseMatrix:
        weights = self._learn_weights(sequences, len(self.fit_catalog))
        return keep_strongest(weights, int(self.parameters["weights_per_item"]))

    def state(self) -> State:
        """Return the weights, the trained items, the recency correction, and the chosen hyper-parameters."""
        words = {name: str(value).encode() for name, value in self.chosen.items()}
        return {
            "weights": self.weights.data,
            "columns": self.weights.indices,
            "offsets": self.weights.indptr,
            "is_trained": self.is_trained,
            **self.recency.state(),
            **{f"chosen.{name}": np.frombuffer(word, np.uint8) for name, word in words.items()},
        }

    def restore(self, state: State, fit_catalog: Catalog) -> None:
        """Load what :meth:`state` returned."""
        self.fit_catalog, self.is_trained = fit_catalog, state["is_trained"].astype(np.bool_)
        size = len(self.is_trained)
        self.weights = sparse.csr_array((state["weights"], state["columns"], state["offsets"]), shape=(size, size))
        self.recency = RecencyCorrection.from_state(state, fit_catalog)
        for name in self.choices:
            self.chosen[name] = type(self.defaults[name])(state[f"chosen.{name}"].tobytes().decode())

    def scorer(self, catalog: Catalog) -> Scorer:
        """Return a scorer of the items that training sequences hold and that are still in the catalogue."""
        index = catalog.find_indices(self.fit_catalog.item_ids)
        recommendable = np.zeros(len(catalog), np.bool_)
        recommendable[index[(index >= 0) & self.is_trained]] = True
        entries = self.weights.tocoo()
        rows, columns = index[entries.row], index[entries.col]
        is_known = (rows >= 0) & (columns >= 0)
        weights = sparse.csr_array(
            (entries.data[is_known].astype(np.float64), (rows[is_known], columns[is_known])),
            shape=(len(catalog), len(catalog)),
        )
        factors = np.exp(self.chosen["recency"] * self.recency.for_catalog(catalog).astype(np.float64))
        return ItemWeightsScorer(weights, factors, recommendable, self.chosen["decay"], int(self.parameters["window"]))


class ItemWeightsScorer(Scorer):
    """Scorer of items by their weights from a sequence's items.

    Parameters
    ----------
    weights : sparse float64 array (items, items)
        Weight from a sequence's item (row) to the scored item (column).
    item_factors : float64 array (items,)
        What each item's score is multiplied by.
    recommendable : bool array (items,)
        The items that training sequences hold.
    decay : str
        Weight of a sequence's items by age, a key of ``DECAYS``.
    window : int
        Number of newest items of a sequence that are read.
    """

    scores_stand_alone = True

    def __init__(
        self, weights: SparseMatrix, item_factors: Doubles, recommendable: Bools, decay: str, window: int
    ) -> None:
        self.recommendable = recommendable
        self._weights = weights.copy()
        self._weights.data *= item_factors[weights.indices]
        self._decay, self._window = decay, window

    def top(
        self, sequences: Sequences, k: int, excluded_items: Sequences | None, allowed_mask: Bools
    ) -> tuple[Floats, Ints]:
        """Return the ``k`` items with the largest sums of weights; fewer if fewer items have a weight."""
        scores = np.full((len(sequences), k), -np.inf, np.float32)
        items = np.full((len(sequences), k), -1, np.int32)
        for start in range(0, len(sequences), ROWS_AT_ONCE):
            rows = np.arange(start, min(start + ROWS_AT_ONCE, len(sequences)))
            sums = self._age_weights(sequences.take(rows)) @ self._weights
            excluded = None if excluded_items is None else excluded_items.take(rows)
            scores[rows], items[rows] = top_of_rows(sums, k, excluded, allowed_mask)
        return scores, items

    def reasons(self, sequences: Sequences, items: Ints, allowed_mask: Bools | None = None) -> Ints:
        """Return the item of the sequence that adds most to the recommended item's score."""
        reasons = super().reasons(sequences, items)
        weights = self._age_weights(sequences)
        for row in range(len(sequences)):
            entries = slice(weights.indptr[row], weights.indptr[row + 1])
            # own items are ordered newest first, so that argmax takes the newest of those that add equally much
            own_items, own_weights = weights.indices[entries][::-1], weights.data[entries][::-1]
            listed = np.flatnonzero(items[row] >= 0)
            if not len(own_items) or not len(listed):
                continue
            contributions = own_weights[:, None] * self._weights[own_items][:, items[row, listed]].toarray()
            best = own_items[contributions.argmax(axis=0)]
            reasons[row, listed] = np.where(contributions.max(axis=0) > 0, best, -1)
        return reasons

    def _age_weights(self, sequences: Sequences) -> SparseMatrix:
        """Return the age weights of each sequence's distinct items, oldest first: sparse array (sequences, items)."""
        distinct = sequences.without_repeats().keep_items(self.recommendable).last_items(self._window)
        return sparse.csr_array(
            (age_weights(distinct, self._decay), distinct.items, distinct.offsets),
            shape=(len(distinct), len(self.recommendable)),
        )


def beats_by_more_than_chance(values: Doubles, other_values: Doubles) -> bool:
    """Whether the mean of paired values is higher by more than one standard error of the difference.

    One standard error, not two: a wrong choice costs little, since the values differ little then.
    """
    differences = values - other_values
    return bool(differences.mean() > differences.std(ddof=1) / np.sqrt(len(differences))) if len(values) > 1 else False


def keep_strongest(weights: SparseMatrix, row_limit: int) -> SparseMatrix:
    """Keep the ``row_limit`` entries of each row with the largest absolute values; of equal ones, the first columns.

    Returns
    -------
    sparse float32 array (items, items)
    """
    weights = sparse.csr_array(weights)
    weights.sort_indices()
    kept = []
    for start, stop in zip(weights.indptr, weights.indptr[1:], strict=False):
        order = np.argsort(-np.abs(weights.data[start:stop]), kind="stable")[:row_limit]
        kept.append(start + np.sort(order))
    positions = np.concatenate([*kept, np.empty(0, np.int64)])
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in kept])])
    data = weights.data[positions].astype(np.float32)
    return sparse.csr_array((data, weights.indices[positions].astype(np.int32), offsets), shape=weights.shape)


def session_item_counts(sequences: Sequences, item_count: int) -> SparseMatrix:
    """Return which items each sequence holds: sparse float64 array (sequences, items) of ones."""
    distinct = sequences.without_repeats()
    ones = np.ones(len(distinct.items))
    return sparse.csr_array((ones, distinct.items, distinct.offsets), shape=(len(distinct), item_count))
