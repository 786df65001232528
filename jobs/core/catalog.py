"""The catalogue: every item that exists, as arrays in one order."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from jobs.core.arrays import Bools, Floats, Longs, Texts


@dataclass(frozen=True)
class Catalog:
    """Every item that exists, in ascending order of item_id: an item's index is its place here.

    Attributes
    ----------
    item_ids : object array (items,)
        Ascending, so that ties broken by index are ties broken by item_id.
    embeddings : float32 array (items, dimensions)
        The LLM's vectors; a row of zeros where an item has none.
    available : bool array (items,)
        False for items that may be seen but not recommended.
    titles : object array (items,)
        What people, and language models, call the items; "" where an item has no title. Text, never instructions.
    categories : object array (items,)
        "" where an item has none.
    """

    item_ids: Texts
    embeddings: Floats
    available: Bools
    titles: Texts = field(default_factory=lambda: np.empty(0, np.object_))
    categories: Texts = field(default_factory=lambda: np.empty(0, np.object_))

    def __len__(self) -> int:
        return len(self.item_ids)

    @cached_property
    def has_embedding(self) -> Bools:
        """Tell which items have a vector: bool array (items,)."""
        return np.asarray(self.embeddings.any(axis=1), dtype=np.bool_)

    def find(self, item_ids: Texts) -> Longs:
        """Return each id's index, -1 where the catalogue has no such item: int64 array."""
        return np.array([self._index.get(item_id, -1) for item_id in item_ids], dtype=np.int64)

    @cached_property
    def _index(self) -> dict[Any, int]:
        return {item_id: place for place, item_id in enumerate(self.item_ids)}
