"""The features by which the reranker orders candidates: numbers about an item, a sequence, and what relates the two.

One function computes them when the reranker is trained and when it recommends, so that a number means the same in
both. What is counted over sequences is counted over the training sequences alone. In the fit that trains the trees,
these lack the cases that the trees learn from, and also all that is later if the cases are the newest sequences.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from jobs.core.arrays import Doubles, Floats, Ints, Longs, State
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.models.session_vectors import unit_item_vectors

NEWEST_SHARES: Final = (1.0, 0.5, 0.1, 0.02)
"""Popularity is counted in these shares of the training sequences: the newest ones."""

READ_ITEMS: Final = 20
"""Number of a sequence's newest distinct items with which a candidate is compared."""

ITEM_FEATURES: Final = (
    *(f"share of the newest {share:.0%} of sequences with it" for share in NEWEST_SHARES),
    "sequences since its first, as a share",
    "sequences since its last, as a share",
)
RELATION_FEATURES: Final = (
    "cosine with the newest item",
    "largest cosine",
    "mean cosine, by age",
    "share of its category, by age",
    "log of its price over the mean, by age",
    "times in the sequence",
    "places since its last in the sequence",
)


@dataclass(frozen=True)
class ItemHistory:
    """What the training sequences say about each item: its popularity, its age, and when it was last seen.

    Attributes
    ----------
    values : float32 array (items of the fit, ITEM_FEATURES)
        NaN for the ages of an item that no training sequence holds. Counts and ages are shares of the number of
        sequences, so that they mean the same in a fit on more sequences.
    training_catalog : Catalog
        The catalogue that the model was fitted on.
    """

    values: Floats
    training_catalog: Catalog

    @classmethod
    def from_sequences(cls, sequences: Sequences, catalog: Catalog) -> "ItemHistory":
        """Count the items of training sequences, which come oldest first; only targets count (``keep_targets``)."""
        distinct, size = sequences.keep_targets().keep_last_occurrences(), len(catalog)
        row_count = max(len(distinct), 1)
        columns = []
        for share in NEWEST_SHARES:
            newest = np.arange(int(len(distinct) * (1 - share)), len(distinct))
            counts = np.bincount(distinct.take(newest).items, minlength=size)
            columns.append(counts / max(len(newest), 1))
        rows = distinct.row_of_each_item()
        for pick, start in ((np.minimum, np.inf), (np.maximum, -np.inf)):
            seen_at = np.full(size, start)
            pick.at(seen_at, distinct.items, rows)
            columns.append(np.where(np.isfinite(seen_at), (row_count - seen_at) / row_count, np.nan))
        return cls(np.stack(columns, axis=1).astype(np.float32), catalog)

    def values_for_catalog(self, catalog: Catalog) -> Floats:
        """Return the values of each item of a catalogue.

        An item that is new since the fit has the values of an item that no training sequence holds.

        Returns
        -------
        float32 array (items, ITEM_FEATURES)
        """
        trained_index = self.training_catalog.find_indices(catalog.item_ids)
        unseen = np.where(np.arange(len(ITEM_FEATURES)) < len(NEWEST_SHARES), 0, np.nan).astype(np.float32)
        values = np.tile(unseen, (len(catalog), 1))
        values[trained_index >= 0] = self.values[trained_index[trained_index >= 0]]
        return values

    def state(self) -> State:
        """Return the values as a named array."""
        return {"item_history": self.values}

    @classmethod
    def from_state(cls, state: State, training_catalog: Catalog) -> "ItemHistory":
        """Make the history again from the values that :meth:`state` returned."""
        return cls(state["item_history"], training_catalog)


class FeatureTable:
    """Computes the features of candidate items, for any sequences, that do not depend on the parts' lists.

    Parameters
    ----------
    item_history : ItemHistory
    catalog : Catalog
        The catalogue whose items are ranked.
    """

    def __init__(self, item_history: ItemHistory, catalog: Catalog) -> None:
        self._item_values = item_history.values_for_catalog(catalog)
        self._unit_vectors = unit_item_vectors(catalog, None)
        self._has_embedding = catalog.has_embedding_mask
        self._categories = np.full(len(catalog), -1)
        if len(catalog.categories):
            self._categories = np.unique(catalog.categories, return_inverse=True)[1]
            self._categories[catalog.categories == ""] = -1
        self._log_prices = np.full(len(catalog), np.nan)
        if len(catalog.prices):
            is_priced = catalog.prices > 0
            self._log_prices[is_priced] = np.log(catalog.prices[is_priced])

    def features_of_pairs(self, sequences: Sequences, row_numbers: Longs, items: Longs) -> Floats:
        """Return the features of pairs of a sequence and a candidate item.

        Parameters
        ----------
        sequences : Sequences
            Item indices, oldest first.
        row_numbers : int64 array (pairs,)
            Each pair's sequence, in ascending order.
        items : int64 array (pairs,)
            Each pair's candidate item.

        Returns
        -------
        float32 array (pairs, ITEM_FEATURES + RELATION_FEATURES + 1)
            The last column is the number of items of the sequence. NaN where a number is not known.
        """
        relations = np.full((len(items), len(RELATION_FEATURES)), np.nan, np.float32)
        newest = sequences.keep_last_occurrences().keep_last_items(READ_ITEMS)
        ends = np.searchsorted(row_numbers, np.arange(len(sequences) + 1))
        for row in range(len(sequences)):
            pairs = slice(ends[row], ends[row + 1])
            if pairs.start < pairs.stop and len(newest[row]):
                relations[pairs] = self._relate(items[pairs], newest[row][::-1], sequences[row])
        lengths = sequences.lengths[row_numbers, None].astype(np.float32)
        return np.concatenate([self._item_values[items], relations, lengths], axis=1)

    def _relate(self, candidates: Longs, newest_first: Ints, sequence: Ints) -> Doubles:
        """Return RELATION_FEATURES of candidates and one sequence: float64 array (candidates, RELATION_FEATURES)."""
        weights = 1 / np.arange(1, len(newest_first) + 1)
        cosines = np.where(
            self._has_embedding[candidates][:, None] & self._has_embedding[newest_first],
            self._unit_vectors[candidates] @ self._unit_vectors[newest_first].T,
            np.nan,
        )
        own_category = self._categories[candidates][:, None]
        is_same_category = np.where(own_category >= 0, own_category == self._categories[newest_first], np.nan)
        price_ratios = self._log_prices[candidates][:, None] - self._log_prices[newest_first]
        is_own = candidates[:, None] == sequence[::-1]
        times = is_own.sum(axis=1)
        return np.stack(
            [
                cosines[:, 0],
                np.fmax.reduce(cosines, axis=1),
                _known_mean(cosines, weights),
                _known_mean(is_same_category, weights),
                _known_mean(price_ratios, weights),
                times,
                np.where(times > 0, is_own.argmax(axis=1), np.nan),
            ],
            axis=1,
        )


def _known_mean(values: Doubles, weights: Doubles) -> Doubles:
    """Return the weighted mean of each row's known values; NaN for a row without any."""
    is_known = ~np.isnan(values)
    sums = np.where(is_known, values, 0) @ weights
    weight_sums = is_known @ weights
    means = np.full(len(values), np.nan)
    np.divide(sums, weight_sums, out=means, where=weight_sums > 0)
    return means
