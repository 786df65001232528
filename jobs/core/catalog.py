"""The catalogue: every item that exists, as parallel arrays."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from jobs.core.arrays import Bools, Doubles, Floats, Longs, Texts


@dataclass(frozen=True)
class Catalog:
    """Every item that exists, in ascending order of ``item_id``; an item's index is its position in these arrays.

    Attributes
    ----------
    item_ids : object array (items,)
        Item identifiers, ascending. Models rank items of equal score by index, and therefore by item_id.
    embeddings : float32 array (items, dimensions)
        Text embeddings from the embedding model; a row of zeros for an item without an embedding.
    available_mask : bool array (items,)
        False for items that may occur in sequences but must not be recommended.
    titles : object array (items,)
        Item titles, as shown to people and language models; "" for an item without a title. They are untrusted text,
        never instructions.
    categories : object array (items,)
        Item categories; "" for an item without a category.
    prices : float64 array (items,)
        Item prices; NaN for an item without a price. They have no unit, because a shop may price in any currency.
    """

    item_ids: Texts
    embeddings: Floats
    available_mask: Bools
    titles: Texts = field(default_factory=lambda: np.empty(0, np.object_))
    categories: Texts = field(default_factory=lambda: np.empty(0, np.object_))
    prices: Doubles = field(default_factory=lambda: np.empty(0))

    def __len__(self) -> int:
        return len(self.item_ids)

    @cached_property
    def has_embedding_mask(self) -> Bools:
        """Whether each item has an embedding: bool array (items,)."""
        return np.asarray(self.embeddings.any(axis=1), dtype=np.bool_)

    def find_indices(self, item_ids: Texts) -> Longs:
        """Return the catalogue index of each item_id, -1 if the catalogue lacks it: int64 array (item_ids,)."""
        return np.array([self._index_by_item_id.get(item_id, -1) for item_id in item_ids], dtype=np.int64)

    @cached_property
    def _index_by_item_id(self) -> dict[Any, int]:
        return {item_id: index for index, item_id in enumerate(self.item_ids)}
