"""Sequences in flat arrays against plain lists of lists."""

from collections import Counter
from dataclasses import replace
from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.core.sequences import Sequences

ITEMS = 12
rows_of_items = st.lists(st.lists(st.integers(0, ITEMS - 1), max_size=8), max_size=8)


def lists(sequences):
    """Check the arrays of sequences, and return the rows as lists."""
    assert sequences.items.dtype == np.int32
    assert sequences.offsets.dtype == np.int64
    assert sequences.offsets[0] == 0
    assert sequences.offsets[-1] == len(sequences.items)
    return [sequences[row].tolist() for row in range(len(sequences))]


@settings(deadline=None)
@given(rows_of_items)
def test_sequences_hold_the_lists_they_were_made_of(rows):
    sequences = Sequences.from_lists(rows)
    assert lists(sequences) == rows
    assert len(sequences) == len(rows)
    assert sequences.lengths.tolist() == [len(row) for row in rows]
    assert [row.tolist() for row in sequences] == rows


@settings(deadline=None)
@given(rows_of_items)
def test_sequences_are_made_of_any_iterables(rows):
    assert lists(Sequences.from_lists(iter([np.array(row, np.int64) for row in rows]))) == rows
    assert lists(Sequences.from_lists(tuple(row) for row in rows)) == rows


@settings(deadline=None)
@given(rows_of_items, st.data())
def test_take_returns_the_rows_in_the_order_asked(rows, data):
    chosen = data.draw(st.lists(st.sampled_from(range(len(rows))), max_size=12)) if rows else []
    for form in (chosen, np.array(chosen, np.int64)):
        assert lists(Sequences.from_lists(rows).take(form)) == [rows[row] for row in chosen]


@settings(deadline=None)
@given(rows_of_items, st.data())
def test_take_reads_a_mask_too(rows, data):
    mask = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    wanted = [row for row, kept in zip(rows, mask, strict=True) if kept]
    assert lists(Sequences.from_lists(rows).take(np.array(mask, np.bool_))) == wanted


@settings(deadline=None)
@given(rows_of_items)
def test_distinct_keeps_each_item_of_a_row_where_it_occurs_last(rows):
    wanted = [[item for place, item in enumerate(row) if item not in row[place + 1 :]] for row in rows]
    assert lists(Sequences.from_lists(rows).keep_last_occurrences()) == wanted


@settings(deadline=None)
@given(rows_of_items, st.integers(0, 10))
def test_last_keeps_the_newest_items(rows, n):
    assert lists(Sequences.from_lists(rows).keep_last_items(n)) == [row[max(0, len(row) - n) :] for row in rows]


@settings(deadline=None)
@given(rows_of_items, st.integers(0, 9))
def test_the_newest_rows_are_the_last(rows, n):
    assert lists(Sequences.from_lists(rows).newest(n)) == rows[max(0, len(rows) - n) :]
    assert lists(Sequences.from_lists(rows).newest(None)) == rows


@settings(deadline=None)
@given(rows_of_items, st.sets(st.integers(0, ITEMS - 1)))
def test_keep_drops_items_but_never_rows(rows, wanted):
    mask = np.isin(np.arange(ITEMS), list(wanted))
    assert lists(Sequences.from_lists(rows).keep_items(mask)) == [
        [item for item in row if item in wanted] for row in rows
    ]


def test_without_drops_one_item_of_each_row_wherever_it_occurs():
    rows = Sequences.from_lists([[3, 1, 3], [], [2], [1, 2, 2]])
    assert lists(rows.without_one_item_per_row(np.array([3, 0, 2, 5], np.int32))) == [[1], [], [], [1, 2, 2]]


@settings(deadline=None)
@given(rows_of_items, st.sampled_from([-1, -2]))
def test_padded_rows_stand_at_the_right(rows, fill):
    matrix = Sequences.from_lists(rows).padded_matrix(fill)
    width = max(map(len, rows), default=0)
    assert matrix.dtype == np.int32
    assert matrix.shape == (len(rows), width)
    assert matrix.tolist() == [[fill] * (width - len(row)) + row for row in rows]


@settings(deadline=None)
@given(rows_of_items)
def test_rows_numbers_every_item_by_its_row(rows):
    wanted = [number for number, row in enumerate(rows) for _ in row]
    assert Sequences.from_lists(rows).row_of_each_item().tolist() == wanted


@settings(deadline=None)
@given(rows_of_items, st.integers(1, 5), st.sets(st.integers(0, ITEMS - 1)), st.data())
def test_operations_leave_the_original_as_it_was_and_can_follow_each_other(rows, n, wanted, data):
    original = Sequences.from_lists(rows)
    mask = np.isin(np.arange(ITEMS), list(wanted))
    order = data.draw(st.permutations(range(len(rows))))
    result = original.take(order).keep_items(mask).keep_last_items(n)
    assert lists(result) == [[item for item in rows[row] if item in wanted][-n:] for row in order]
    assert lists(original) == rows


@settings(deadline=None)
@given(rows_of_items, st.integers(1, 5), st.sets(st.integers(0, ITEMS - 1)), st.data())
def test_targets_stay_with_their_items_through_all_operations(rows, n, wanted, data):
    """An item is a target here if it is odd, so that each item that is left says whether it is one."""
    plain = Sequences.from_lists(rows)
    flagged = Sequences(plain.items, plain.offsets, plain.items % 2 == 1)
    order = data.draw(st.permutations(range(len(rows))))
    mask = np.isin(np.arange(ITEMS), list(wanted))
    result = flagged.take(order).keep_items(mask).keep_last_occurrences().keep_last_items(n)
    assert result.is_target.tolist() == (result.items % 2 == 1).tolist()
    assert lists(result.keep_targets()) == [[item for item in row if item % 2] for row in lists(result)]
    cut = result.cut_after_last_target()
    assert cut.is_target.tolist() == (cut.items % 2 == 1).tolist()
    assert lists(cut) == [
        row[: max((n + 1 for n, item in enumerate(row) if item % 2), default=0)] for row in lists(result)
    ]
    for of_plain in (plain.keep_targets(), plain.cut_after_last_target()):
        assert lists(of_plain) == rows, "without flags every item is a target"


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, ITEMS - 1)), max_size=8), max_size=8), st.data())
def test_shuffling_moves_items_within_their_time_alone(rows, data):
    rows = [sorted(row, key=lambda event: event[0]) for row in rows]
    plain = Sequences.from_lists([item for _, item in row] for row in rows)
    sequences = replace(plain, time_numbers=np.array([time for row in rows for time, _ in row], np.int32))
    shuffled = sequences.shuffle_items_of_one_time(np.random.default_rng(data.draw(st.integers(0, 99))))
    assert shuffled.time_numbers.tolist() == sequences.time_numbers.tolist()
    times = [[time for time, _ in row] for row in rows]
    events = [list(zip(*row_and_times, strict=True)) for row_and_times in zip(times, lists(shuffled), strict=True)]
    assert [sorted(row) for row in events] == [sorted(row) for row in rows]
    assert plain.shuffle_items_of_one_time(np.random.default_rng(0)) is plain  # without times the order is known


def test_every_order_of_the_items_of_one_time_is_drawn():
    sequences = replace(Sequences.from_lists([[0, 1, 2, 3], [4]]), time_numbers=np.array([0, 1, 1, 1, 1], np.int32))
    generator = np.random.default_rng(0)
    orders = [tuple(lists(sequences.shuffle_items_of_one_time(generator))[0]) for _ in range(600)]
    assert set(orders) == {(0, *rest) for rest in permutations([1, 2, 3])}
    assert min(Counter(orders).values()) > 60


@settings(deadline=None)
@given(rows_of_items, st.data())
def test_every_selection_keeps_targets_and_times_with_their_items(rows, data):
    plain = Sequences.from_lists(rows)
    count = len(plain.items)
    sequences = replace(
        plain, is_target=np.arange(count) % 2 == 0, time_numbers=np.arange(count, dtype=np.int32) * 10 + plain.items
    )
    kept = data.draw(st.lists(st.booleans(), min_size=ITEMS, max_size=ITEMS))
    for selected in (
        sequences.take(np.arange(len(rows))[::-1]),
        sequences.keep_last_items(3),
        sequences.keep_items(np.array(kept, np.bool_)),
        sequences.keep_last_occurrences(),
    ):
        places = (selected.time_numbers - selected.items) // 10
        assert plain.items[places].tolist() == selected.items.tolist()
        assert (places % 2 == 0).tolist() == selected.is_target.tolist()
