"""Ragged item sequences as two flat arrays, the form in which every model takes them."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jobs.core.arrays import Bools, Ints, Longs


@dataclass(frozen=True)
class Sequences:
    """Rows of item indices, oldest first: row ``i`` is ``items[offsets[i]:offsets[i + 1]]``.

    Attributes
    ----------
    items : int32 array (total,)
        Indices into a catalogue's items, row after row.
    offsets : int64 array (rows + 1,)
        Where each row starts; the last entry is ``len(items)``.
    """

    items: Ints
    offsets: Longs

    @classmethod
    def from_lists(cls, rows: Iterable[Iterable[int]]) -> "Sequences":
        """Build from any iterable of iterables of indices."""
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
        """Items a row: int64 array (rows,)."""
        return np.diff(self.offsets)

    def take(self, rows: npt.ArrayLike) -> "Sequences":
        """Return the chosen rows, in the order given (indices, or a boolean mask)."""
        rows = np.asarray(rows)
        chosen = np.arange(len(self))[rows if rows.size else slice(0)]  # an empty list is an array of floats to NumPy
        return self._gather(self.offsets[chosen], self.lengths[chosen])

    def last(self, n: int | Longs) -> "Sequences":
        """Keep at most the last ``n`` items of each row: one number for all, or int64 array (rows,)."""
        kept = np.minimum(self.lengths, n)
        return self._gather(self.offsets[1:] - kept, kept)

    def keep(self, wanted: Bools) -> "Sequences":
        """Drop the items whose index is not ``wanted`` (bool array over all indices); rows stay, maybe empty."""
        return self._entries(wanted[self.items])

    def without(self, items: Ints) -> "Sequences":
        """Drop from each row one item, int32 array (rows,), wherever it occurs; rows stay, maybe empty."""
        return self._entries(self.items != np.repeat(items, self.lengths))

    def distinct(self) -> "Sequences":
        """Keep each item of a row once, where it occurs last."""
        rows = self.rows()
        keys = rows * (int(self.items.max(initial=0)) + 1) + self.items
        _, from_end = np.unique(keys[::-1], return_index=True)
        last = np.sort(len(keys) - 1 - from_end)
        counts = np.bincount(rows[last], minlength=len(self))
        return Sequences(self.items[last], np.concatenate([[0], counts.cumsum()]).astype(np.int64))

    def padded(self, fill: int) -> Ints:
        """Return an int32 matrix (rows, longest), each row at the right, ``fill`` before it."""
        width = int(self.lengths.max(initial=0))
        matrix = np.full((len(self), width), fill, np.int32)
        matrix[np.arange(width) >= width - self.lengths[:, None]] = self.items
        return matrix

    def rows(self) -> Longs:
        """Return the row number of each entry of ``items``: int64 array (total,)."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def _entries(self, kept: Bools) -> "Sequences":
        counts = np.bincount(self.rows()[kept], minlength=len(self))
        return Sequences(self.items[kept], np.concatenate([[0], counts.cumsum()]).astype(np.int64))

    def _gather(self, starts: Longs, lengths: Longs) -> "Sequences":
        offsets = np.concatenate([[0], lengths.cumsum()]).astype(np.int64)
        index = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return Sequences(self.items[index], offsets)
