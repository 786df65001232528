"""Item sequences of different lengths, stored in two flat arrays: the input format of every model."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jobs.core.arrays import Bools, Ints, Longs


@dataclass(frozen=True)
class Sequences:
    """Item sequences of different lengths, oldest item first: sequence ``i`` is ``items[offsets[i]:offsets[i + 1]]``.

    A sequence is also called a row.

    Attributes
    ----------
    items : int32 array (total,)
        Catalogue indices of all rows' items, row after row.
    offsets : int64 array (rows + 1,)
        Position in ``items`` at which each row starts; the last entry is ``len(items)``.
    """

    items: Ints
    offsets: Longs

    @classmethod
    def from_lists(cls, rows: Iterable[Iterable[int]]) -> "Sequences":
        """Build sequences from an iterable of rows, each an iterable of item indices."""
        arrays = [np.asarray(list(row), dtype=np.int32) for row in rows]
        lengths = np.array([len(row) for row in arrays], dtype=np.int64)
        return cls(
            np.concatenate([*arrays, np.empty(0, np.int32)]),
            np.concatenate([[0], lengths.cumsum()]).astype(np.int64),
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Ints:
        return self.items[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> Longs:
        """Number of items in each row: int64 array (rows,)."""
        return np.diff(self.offsets)

    def take(self, rows: npt.ArrayLike) -> "Sequences":
        """Return the selected rows, in the given order; ``rows`` is an array of row numbers or a boolean mask."""
        rows = np.asarray(rows)
        # np.asarray([]) is a float array, and NumPy refuses a float array as an index
        chosen = np.arange(len(self))[rows if rows.size else slice(0)]
        return self._gather_slices(self.offsets[chosen], self.lengths[chosen])

    def last_items(self, count: int | Longs) -> "Sequences":
        """Keep at most the last ``count`` items of each row; an int64 array (rows,) gives each row its own count."""
        kept = np.minimum(self.lengths, count)
        return self._gather_slices(self.offsets[1:] - kept, kept)

    def keep_items(self, is_kept: Bools) -> "Sequences":
        """Drop all occurrences of the items that are False in ``is_kept``, bool (catalogue,); rows may become empty."""
        return self._select_items(is_kept[self.items])

    def without_items(self, removed_items: Ints) -> "Sequences":
        """Drop all occurrences of one item from each row: of ``removed_items[i]``, int32 (rows,), from row ``i``."""
        return self._select_items(self.items != np.repeat(removed_items, self.lengths))

    def without_repeats(self) -> "Sequences":
        """Keep only the last occurrence of each item in a row."""
        rows = self.row_numbers()
        keys = rows * (int(self.items.max(initial=0)) + 1) + self.items
        _, from_end = np.unique(keys[::-1], return_index=True)
        last = np.sort(len(keys) - 1 - from_end)
        counts = np.bincount(rows[last], minlength=len(self))
        return Sequences(self.items[last], np.concatenate([[0], counts.cumsum()]).astype(np.int64))

    def padded_matrix(self, fill_value: int) -> Ints:
        """Return an int32 matrix (rows, longest row): each row right-aligned, with ``fill_value`` to its left."""
        width = int(self.lengths.max(initial=0))
        matrix = np.full((len(self), width), fill_value, np.int32)
        matrix[np.arange(width) >= width - self.lengths[:, None]] = self.items
        return matrix

    def row_numbers(self) -> Longs:
        """Return the row number of each element of ``items``: int64 array (total,)."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def _select_items(self, is_kept: Bools) -> "Sequences":
        counts = np.bincount(self.row_numbers()[is_kept], minlength=len(self))
        return Sequences(self.items[is_kept], np.concatenate([[0], counts.cumsum()]).astype(np.int64))

    def _gather_slices(self, starts: Longs, lengths: Longs) -> "Sequences":
        offsets = np.concatenate([[0], lengths.cumsum()]).astype(np.int64)
        index = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return Sequences(self.items[index], offsets)
