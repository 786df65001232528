"""Item sequences of different lengths, stored in two flat arrays: the input format of every model."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

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
    is_target : bool array (total,), optional
        Whether each element of ``items`` is a target: an event of a type that models predict (dbt var
        ``target_event_types``). None: every element is one.
    time_numbers : int32 array (total,), optional
        Number of the time of each element of ``items``: within a row it is the same for items of one time, such as the
        lines of an order, and higher for later items. None: no two items of a row have the same time.
    """

    items: Ints
    offsets: Longs
    is_target: Bools | None = None
    time_numbers: Ints | None = None

    @classmethod
    def from_lists(cls, item_lists: Iterable[Iterable[int]]) -> "Sequences":
        """Build sequences from lists of item indices, one list per sequence."""
        arrays = [np.asarray(list(items), dtype=np.int32) for items in item_lists]
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

    def take(self, row_numbers_or_mask: npt.ArrayLike) -> "Sequences":
        """Return the rows with the given numbers, in their order, or the rows that are True in a boolean mask."""
        rows = np.asarray(row_numbers_or_mask)
        # np.asarray([]) is a float array, and NumPy refuses a float array as an index
        chosen = np.arange(len(self))[rows if rows.size else slice(0)]
        return self._gather_slices(self.offsets[chosen], self.lengths[chosen])

    def newest(self, count: int | None) -> "Sequences":
        """Return the last ``count`` rows, which are the newest of a training part; all rows for None."""
        return self if count is None else self.take(np.arange(max(0, len(self) - count), len(self)))

    def keep_last_items(self, count: int | Longs) -> "Sequences":
        """Keep at most the last ``count`` items of each row; an int64 array (rows,) gives each row its own count."""
        kept = np.minimum(self.lengths, count)
        return self._gather_slices(self.offsets[1:] - kept, kept)

    def keep_items(self, is_kept_catalog_item: Bools) -> "Sequences":
        """Drop all occurrences of some items; rows may become empty.

        Parameters
        ----------
        is_kept_catalog_item : bool array (items of the catalogue,)
            False for the items to drop.
        """
        return self._keep_positions(is_kept_catalog_item[self.items])

    def without_one_item_per_row(self, item_of_row: Ints) -> "Sequences":
        """Drop one item from each row, at all its occurrences.

        Parameters
        ----------
        item_of_row : int32 array (rows,)
            The item to drop from each row.
        """
        return self._keep_positions(self.items != np.repeat(item_of_row, self.lengths))

    def keep_targets(self) -> "Sequences":
        """Keep only the items that are targets; rows may become empty."""
        return self if self.is_target is None else self._keep_positions(self.is_target)

    def cut_after_last_target(self) -> "Sequences":
        """Drop the items after each row's last target; rows without a target become empty."""
        if self.is_target is None:
            return self
        starts, ends = self.offsets[:-1], self.offsets[:-1].copy()
        np.maximum.at(ends, self.row_of_each_item()[self.is_target], np.flatnonzero(self.is_target) + 1)
        return self._gather_slices(starts, ends - starts)

    def keep_last_occurrences(self) -> "Sequences":
        """Keep only the last occurrence of each item in each row."""
        rows = self.row_of_each_item()
        keys = rows * (int(self.items.max(initial=0)) + 1) + self.items
        _, from_end = np.unique(keys[::-1], return_index=True)
        is_last = np.zeros(len(keys), np.bool_)
        is_last[len(keys) - 1 - from_end] = True
        return self._keep_positions(is_last)

    def padded_matrix(self, fill_value: int) -> Ints:
        """Return an int32 matrix (rows, longest row) of right-aligned rows, with ``fill_value`` to the left of each."""
        width = int(self.lengths.max(initial=0))
        matrix = np.full((len(self), width), fill_value, np.int32)
        matrix[np.arange(width) >= width - self.lengths[:, None]] = self.items
        return matrix

    def with_least_time_numbers(self) -> "Sequences":
        """Return the same sequences with times numbered 1, 2, … over all rows, or not at all if no two items share one.

        So equal sequences have equal arrays, whatever was dropped from them.
        """
        if self.time_numbers is None:
            return self
        begins = self._begins_time(self.time_numbers)
        return replace(self, time_numbers=None if begins.all() else begins.cumsum(dtype=np.int32))

    def shuffle_items_of_one_time(self, generator: np.random.Generator) -> "Sequences":
        """Return the rows with the items of each time in random order; all others stay where they are."""
        if self.time_numbers is None:
            return self
        begins = self._begins_time(self.time_numbers)
        return self._select(np.argsort(begins.cumsum() + generator.random(len(self.items))), self.offsets)

    def row_of_each_item(self) -> Longs:
        """Return the number of the row to which each element of ``items`` belongs: int64 array (total,)."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def _keep_positions(self, is_kept: Bools) -> "Sequences":
        """Return the sequences without the elements of ``items`` at which ``is_kept`` is False."""
        counts = np.bincount(self.row_of_each_item()[is_kept], minlength=len(self))
        offsets = np.concatenate([[0], counts.cumsum()]).astype(np.int64)
        return self._select(is_kept, offsets)

    def _gather_slices(self, starts: Longs, lengths: Longs) -> "Sequences":
        offsets = np.concatenate([[0], lengths.cumsum()]).astype(np.int64)
        index = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return self._select(index, offsets)

    def _begins_time(self, time_numbers: Ints) -> Bools:
        """Return which elements of ``items`` are the first of their row and time: bool array (total,)."""
        begins = np.ones(len(self.items), np.bool_)
        begins[1:] = (np.diff(time_numbers) != 0) | (np.diff(self.row_of_each_item()) != 0)
        return begins

    def _select(self, index_or_mask: Longs | Bools, offsets: Longs) -> "Sequences":
        return Sequences(
            self.items[index_or_mask],
            offsets,
            None if self.is_target is None else self.is_target[index_or_mask],
            None if self.time_numbers is None else self.time_numbers[index_or_mask],
        )
