"""Splits where only some events can be predicted, such as purchases: an item's capital letter stands for a purchase."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from test_splits import cases, day, frame, histories

from jobs.evaluation.measure import hash_cases
from jobs.evaluation.splits import Split, cutoff_split, leave_one_out_split, paper_split
from jobs.evaluation.validation_splits import forward_folds, target_times, validation_split


def with_targets(sequences: pl.DataFrame) -> pl.DataFrame:
    """Turn capital letters into the items of their small letters, and say that these steps are targets."""
    letters = pl.col("items").list.eval(pl.element().str.to_lowercase())
    return sequences.with_columns(
        pl.col("items").list.eval(pl.element().str.contains("[A-Z]")).alias("is_target"), letters
    )


def history(rows: dict[str, str | tuple[str, list[int]]]) -> pl.DataFrame:
    """Return sequences made from ``{id: "abB"}``, with an item a day, or from ``{id: ("abB", [0, 0, 1])}``."""
    return with_targets(
        frame({name: (row, list(range(len(row)))) if isinstance(row, str) else row for name, row in rows.items()})
    )


def steps(sequences: pl.DataFrame) -> dict[str, str]:
    """Return the sequences, or the inputs of cases, as ``{id: "abB"}``."""
    return {
        name: "".join(item.upper() if is_target else item for item, is_target in zip(items, targets, strict=True))
        for name, items, targets in sequences.select("sequence_id", "items", "is_target").iter_rows()
    }


def targets(test: pl.DataFrame) -> dict[str, str]:
    return dict(test.select("sequence_id", "target").iter_rows())


# --- by hand


@pytest.mark.parametrize(
    ("walk", "repeats_allowed", "expected"),
    [
        ("abcB", False, ("abc", "b")),  # what was viewed may be bought
        ("abBca", False, ("ab", "b")),  # what follows the last purchase is in no case
        ("aBcB", False, ("a", "b")),  # a second purchase can't be hit
        ("aBcB", True, ("aBc", "b")),
        ("abc", True, None),
        ("Abc", False, None),  # nothing comes before the only purchase
    ],
)
def test_the_paper_split_asks_for_the_last_purchase(walk, repeats_allowed, expected):
    folds = forward_folds(history({"known": ("abc", [0, 0, 0]), "asked": walk}), 2, repeats_allowed)
    assert steps(folds[0].test) == ({"asked": expected[0]} if expected else {})
    assert targets(folds[0].test) == ({"asked": expected[1]} if expected else {})


def test_the_paper_split_leaves_repeats_as_it_does_without_targets():
    split = paper_split(history({"known": ("abc", [0, 0, 0]), "asked": "aBcB"}), 0.5)
    assert steps(split.test) == {"asked": "aBc"}
    assert steps(split.train) == {"known": "abc"}


def test_the_cutoff_split_asks_for_the_next_purchase_after_the_date():
    split = cutoff_split(
        history({"viewer": "abcd", "buyer": "aAbcCbB", "again": ("aAabA", [0, 1, 2, 3, 4]), "first": ("Ab", [5, 6])}),
        day(3),
    )
    assert steps(split.train) == {"viewer": "abc", "buyer": "aAb", "again": "aAa"}
    assert steps(split.test) == {"buyer": "aAbc"}
    assert targets(split.test) == {"buyer": "c"}


def test_leave_one_out_learns_from_sequences_without_a_purchase_and_from_what_is_before_the_last_two():
    split = leave_one_out_split(history({"viewer": "abc", "once": "abBc", "twice": "aAbcBdDa", "only": "A"}))
    assert steps(split.train) == {"viewer": "abc", "once": "ab", "twice": "aAbc", "only": "A"}
    assert steps(split.validation) == {"twice": "aAbc"}
    assert targets(split.validation) == {"twice": "b"}
    assert steps(split.test) == {"once": "ab", "twice": "aAbcBd"}
    assert targets(split.test) == {"once": "b", "twice": "d"}


def test_leave_one_out_needs_a_purchase_after_another_item():
    with pytest.raises(ValueError, match="of one before a target"):
        leave_one_out_split(history({"viewer": "abc", "only": "A"}))


def test_a_validation_case_is_asked_for_the_first_line_of_the_last_order():
    sequences = history({"old": "ab", "order": ("abBCdDcA", [1, 2, 3, 3, 4, 5, 5, 5]), "viewer": ("abc", [8, 8, 9])})
    _, held_out = validation_split(sequences, max_sequence_share=0.6, allow_repeats=False, test_starts_at_a_date=True)
    assert steps(held_out) == {"order": "abBCd"}
    assert targets(held_out) == {"order": "d"}
    assert target_times(held_out, sequences).to_list() == [day(5)]


@pytest.mark.parametrize(
    ("limit", "held_out", "asked"),
    [
        (0, set(), set()),
        (1, {"s7", "s8", "s9"}, {"s7"}),
        (2, {"s5", "s6", "s7", "s8", "s9"}, {"s5", "s7"}),
        (5, {"s4", "s5", "s6", "s7", "s8", "s9"}, {"s4", "s5", "s7"}),  # no more than the share
    ],
)
def test_validation_holds_out_all_that_ended_since_its_oldest_case(limit, held_out, asked):
    walks = {1: "aB", 4: "aB", 5: "aB", 6: "Ab", 7: "bC"}  # the purchase of s6 is its first step
    sequences = history({f"s{n}": (walks.get(n, "ab"), [n, n]) for n in range(10)})
    rest, held_out_cases = validation_split(sequences, limit, 0.6, allow_repeats=False)
    assert set(sequences["sequence_id"]) - set(rest["sequence_id"]) == held_out
    assert set(held_out_cases["sequence_id"]) == asked


def test_cases_with_other_purchases_before_the_target_have_another_hash():
    viewed, bought = (
        paper_split(history({"known": ("ab", [0, 0]), "asked": walk}), 0.5).test for walk in ("abA", "aBA")
    )
    assert cases(viewed) == cases(bought)
    assert len({hash_cases(viewed), hash_cases(bought), hash_cases(viewed.drop("is_target"))}) == 3


# --- any history


@st.composite
def histories_with_targets(draw):
    sequences = draw(histories())
    is_target = [draw(st.lists(st.booleans(), min_size=len(row), max_size=len(row))) for row in sequences["items"]]
    return sequences.with_columns(pl.Series("is_target", is_target, dtype=pl.List(pl.Boolean)))


def plain_targets(items: list[str], is_target: list[bool], repeats_allowed: bool) -> list[int]:
    """Return the positions of the targets that follow an item, by a plain loop."""
    bought, found = set(), []
    for position, (item, target) in enumerate(zip(items, is_target, strict=True)):
        if target and position and (repeats_allowed or item not in bought):
            found.append(position)
        if target:
            bought.add(item)
    return found


@given(histories_with_targets(), st.integers(0, 12), st.booleans())
@settings(max_examples=60, deadline=None)
def test_splits_agree_with_plain_loops(sequences, number, repeats_allowed):
    rows = list(sequences.select("sequence_id", "items", "event_times", "is_target").iter_rows())
    after_date, last, last_but_one = {}, {}, {}
    for name, items, times, is_target in rows:
        found = plain_targets(items, is_target, repeats_allowed)
        after_date |= {name: next(iter([p for p in found if times[p] >= day(number)]), None)}
        last |= {name: found[-1] if found else None}
        last_but_one |= {name: found[-2] if len(found) > 1 else None}
    by_name = {name: (items, is_target) for name, items, _, is_target in rows}

    def expected(positions):
        return {
            name: ("".join(by_name[name][0][:position]), by_name[name][0][position])
            for name, position in positions.items()
            if position is not None
        }

    split = cutoff_split(sequences, day(number), repeats_allowed)
    assert cases(split.test) == expected(after_date)
    for name, flags in split.test.select("sequence_id", "is_target").iter_rows():
        assert flags == by_name[name][1][: len(flags)]
    if not expected(last):
        return
    split = leave_one_out_split(sequences, repeats_allowed)
    assert cases(split.test) == expected(last)
    assert cases(split.validation) == expected(last_but_one)
    learnt = {
        name: len(items) for name, items, _ in split.train.select("sequence_id", "items", "is_target").iter_rows()
    }
    for name, items, _, _ in rows:
        ends = [position for position in (last_but_one[name], last[name]) if position is not None]
        assert learnt[name] == (ends[0] if ends else len(items))


@given(histories(), st.integers(0, 12), st.booleans())
@settings(max_examples=40, deadline=None)
def test_where_every_step_is_a_target_the_splits_are_those_without_the_column(sequences, number, repeats_allowed):
    flagged = sequences.with_columns(
        pl.Series("is_target", [[True] * len(row) for row in sequences["items"]], dtype=pl.List(pl.Boolean))
    )

    def assert_same(one: Split, other: Split) -> None:
        assert_frame_equal(one.train, other.train.drop("is_target"))
        assert_frame_equal(one.test, other.test.drop("is_target"))

    assert_same(*(cutoff_split(each, day(number), repeats_allowed) for each in (sequences, flagged)))
    if len(sequences) >= 2:
        assert_same(*(paper_split(each, 0.4) for each in (sequences, flagged)))
        folds = (forward_folds(each, 2, repeats_allowed) for each in (sequences, flagged))
        for one, other in zip(*folds, strict=True):
            assert_same(one, other)
    for at_a_date in (False, True):
        (rest, held_out), (flagged_rest, flagged_held_out) = (
            validation_split(each, 2000, 0.4, repeats_allowed, at_a_date) for each in (sequences, flagged)
        )
        assert_frame_equal(rest, flagged_rest.drop("is_target"))
        assert_frame_equal(held_out, flagged_held_out.drop("is_target"))
