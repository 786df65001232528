"""Splits of small histories against parts written by hand, and properties that hold for every history."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from jobs.evaluation.sequence_frames import CASE_COLUMNS, SEQUENCE_COLUMNS
from jobs.evaluation.splits import cutoff_split, holdout_cutoff, leave_one_out_split, paper_split
from jobs.evaluation.validation_splits import forward_folds, validation_split

START = datetime(2024, 1, 1, tzinfo=UTC)
SCHEMA = {
    "sequence_id": pl.String,
    "visitor_id": pl.String,
    "items": pl.List(pl.String),
    "event_times": pl.List(pl.Datetime("us", "UTC")),
    "ended_at": pl.Datetime("us", "UTC"),
}


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def frame(rows: dict[str, tuple[str, list[int]]]) -> pl.DataFrame:
    """Return sequences made from ``{id: ("abc", [0, 1, 2])}``: each letter is an item, each number a day."""
    return pl.DataFrame(
        [
            (name, f"visitor of {name}", list(items), [day(n) for n in days], day(days[-1]) if days else None)
            for name, (items, days) in rows.items()
        ],
        schema=SCHEMA,
        orient="row",
    )


def parts(sequences: pl.DataFrame) -> dict[str, str]:
    return {name: "".join(items) for name, items in sequences.select("sequence_id", "items").iter_rows()}


def cases(test: pl.DataFrame) -> dict[str, tuple[str, str]]:
    columns = test.select("sequence_id", "items", "target")
    return {name: ("".join(items), target) for name, items, target in columns.iter_rows()}


@st.composite
def histories(draw):
    size = draw(st.integers(0, 8))
    rows = {}
    for number in range(size):
        days = sorted(draw(st.lists(st.integers(0, 12), max_size=6)))
        items = draw(st.text("abcde", min_size=len(days), max_size=len(days)))
        rows[f"s{number}"] = (items, days)
    return frame(rows)


# --- the paper's split


def test_paper_split_holds_out_the_sequences_that_end_last():
    split = paper_split(
        frame({"late": ("abc", [0, 1, 9]), "a": ("abc", [1, 2, 3]), "b": ("bca", [1, 2, 4])}),
        test_sequence_share=1 / 3,
    )
    assert split.name == "paper"
    assert split.cutoff_at == day(9)
    assert parts(split.train) == {"a": "abc", "b": "bca"}
    assert cases(split.test) == {"late": ("ab", "c")}
    assert split.train.columns == list(SEQUENCE_COLUMNS)
    assert split.test.columns == list(CASE_COLUMNS)
    assert split.test["visitor_id"].to_list() == ["visitor of late"]
    assert split.train["event_times"].to_list()[0] == [day(1), day(2), day(3)]


def test_paper_split_drops_untrained_items_before_the_target_is_taken():
    history = {"train": ("abc", [0, 1, 2]), "x": ("azbz", [0, 3, 4, 5]), "y": ("zaz", [0, 3, 5])}
    split = paper_split(frame(history), test_sequence_share=0.5)
    assert parts(split.train) == {"train": "abc"}
    assert cases(split.test) == {"x": ("a", "b")}


def test_paper_split_keeps_repeats_and_their_order():
    split = paper_split(frame({"train": ("ab", [0, 1]), "test": ("bbaab", [2, 2, 2, 2, 2])}), 0.5)
    assert cases(split.test) == {"test": ("bbaa", "b")}


def test_paper_split_breaks_ties_by_id():
    tied = frame({name: ("ab", [0, 1]) for name in "dbca"})
    assert list(parts(paper_split(tied, 0.5).train)) == ["a", "b"]


@pytest.mark.parametrize(("n", "share", "held_out"), [(10, 0.2, 2), (11, 0.2, 3), (100, 0.07, 7), (3, 0.1, 1)])
def test_paper_split_rounds_up(n, share, held_out):
    split = paper_split(frame({f"{i:02}": ("ab", [i, i]) for i in range(n)}), share)
    assert (len(split.train), len(split.test)) == (n - held_out, held_out)


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5, -0.1])
def test_paper_split_refuses_a_share_that_leaves_a_part_empty(share):
    with pytest.raises(ValueError, match="cannot be split"):
        paper_split(frame({"a": ("ab", [0, 1]), "b": ("ab", [0, 1])}), share)
    with pytest.raises(ValueError, match="cannot be split"):
        paper_split(frame({"only": ("ab", [0, 1])}))


def test_columns_and_ids_are_checked():
    good = frame({"a": ("ab", [0, 1]), "b": ("ab", [0, 1])})
    with pytest.raises(ValueError, match=r"lack the columns \['ended_at'\]"):
        paper_split(good.drop("ended_at"))
    with pytest.raises(ValueError, match="unique"):
        paper_split(pl.concat([good, good]))


@given(histories(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_paper_split_parts_are_disjoint_and_ignore_row_order(history, random):
    if len(history) < 2:
        return
    split = paper_split(history, 0.4)
    again = paper_split(history[random.sample(range(len(history)), len(history))], 0.4)
    assert_frame_equal(split.train, again.train)
    assert_frame_equal(split.test, again.test)
    assert not set(split.train["sequence_id"]) & set(split.test["sequence_id"])
    known = set(split.train["items"].explode())
    assert set(split.test["items"].explode()) | set(split.test["target"]) <= known | {None}


def test_a_target_is_tied_with_an_item_of_its_own_time_and_no_other():
    history = {"train": ("abc", [0, 1, 2]), "tied": ("abc", [3, 4, 4]), "free": ("abc", [3, 3, 4])}
    test = paper_split(frame(history), 2 / 3).test
    assert dict(test.select("sequence_id", "is_tied").iter_rows()) == {"tied": True, "free": False}


def test_a_target_is_no_longer_tied_once_the_other_item_is_dropped():
    history = {"train": ("abc", [0, 1, 2]), "late": ("azb", [3, 4, 4])}
    assert paper_split(frame(history), 0.5).test["is_tied"].to_list() == [False]


# --- folds for a search


def test_forward_folds_train_on_all_that_ended_before():
    history = frame({name: ("ab", [0, end]) for end, name in enumerate("abcdefg", start=1)})
    folds = forward_folds(history, bin_count=3)
    assert [(fold.name, "".join(fold.train["sequence_id"]), "".join(fold.test["sequence_id"])) for fold in folds] == [
        ("fold 1", "abc", "de"),
        ("fold 2", "abcde", "fg"),
    ]
    assert [fold.cutoff_at for fold in folds] == [day(4), day(6)]


def test_forward_folds_drop_items_that_their_training_part_lacks():
    first, second = forward_folds(frame({"a": ("ab", [0, 1]), "b": ("acb", [0, 1, 2]), "c": ("bca", [1, 2, 3])}), 3)
    assert cases(first.test) == {"b": ("a", "b")}
    assert cases(second.test) == {"c": ("bc", "a")}


def test_forward_folds_can_leave_out_targets_that_lists_do_not_hold():
    rows = {"a": ("ab", [0, 1]), "b": ("aba", [0, 1, 2]), "c": ("bb", [1, 3])}
    assert [cases(fold.test) for fold in forward_folds(frame(rows), 3)] == [{"b": ("ab", "a")}, {"c": ("b", "b")}]
    assert [cases(fold.test) for fold in forward_folds(frame(rows), 3, allow_repeats=False)] == [{"b": ("a", "b")}, {}]


@pytest.mark.parametrize("bins", [1, 3])
def test_forward_folds_need_a_sequence_for_each_of_two_bins_or_more(bins):
    with pytest.raises(ValueError, match="cannot be cut"):
        forward_folds(frame({"a": ("ab", [0, 1]), "b": ("ab", [0, 1])}), bins)


# --- leave one out


def test_leave_one_out_takes_the_last_item_and_the_one_before():
    split = leave_one_out_split(
        frame({"long": ("abcd", [0, 1, 2, 2]), "three": ("xyz", [1, 5, 6]), "two": ("pq", [0, 9])})
    )
    assert split.name == "leave_one_out"
    assert parts(split.train) == {"long": "ab", "three": "x", "two": "pq"}
    assert cases(split.validation) == {"long": ("ab", "c"), "three": ("x", "y")}
    assert cases(split.test) == {"long": ("abc", "d"), "three": ("xy", "z")}
    assert split.test["is_tied"].to_list() == [True, False]
    assert split.cutoff_at == day(2)
    ends = dict(split.train.select("sequence_id", "ended_at").iter_rows())
    assert ends == {"long": day(1), "three": day(1), "two": day(9)}
    assert split.train["event_times"].list.len().to_list() == split.train["items"].list.len().to_list()


def test_leave_one_out_has_no_repeats_as_targets_where_no_list_can_hold_them():
    history = frame(
        {"again": ("abacada", [0, 1, 2, 3, 4, 5, 6]), "plain": ("xyz", [0, 1, 2]), "two": ("aba", [0, 1, 2])}
    )
    split = leave_one_out_split(history, allow_repeats=False)
    assert cases(split.test) == {"again": ("abaca", "d"), "plain": ("xy", "z")}
    assert cases(split.validation) == {"again": ("aba", "c"), "plain": ("x", "y")}
    assert parts(split.train) == {"again": "aba", "plain": "x", "two": "aba"}
    repeated = leave_one_out_split(history, allow_repeats=True)
    assert cases(repeated.test)["again"] == ("abacad", "a")


def test_leave_one_out_needs_a_sequence_of_three():
    with pytest.raises(ValueError, match="three items"):
        leave_one_out_split(frame({"a": ("ab", [0, 1])}))
    with pytest.raises(ValueError, match="three items"):
        leave_one_out_split(frame({"a": ("aba", [0, 1, 2])}), allow_repeats=False)


@given(histories(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_leave_one_out_parts_make_up_each_sequence(history, random):
    if history["items"].list.len().max() is None or history["items"].list.len().max() < 3:
        return
    split = leave_one_out_split(history)
    again = leave_one_out_split(history[random.sample(range(len(history)), len(history))])
    assert_frame_equal(split.train, again.train)
    assert_frame_equal(split.test, again.test)
    trained, tested = parts(split.train), cases(split.test)
    for name, items in parts(history).items():
        if len(items) < 3:
            assert trained[name] == items
        else:
            assert (trained[name], tested[name]) == (items[:-2], (items[:-1], items[-1]))


# --- the split at a date


def test_cutoff_split_by_hand():
    history = {
        "over": ("abcd", [0, 1, 5, 6]),
        "before": ("abc", [0, 1, 4]),
        "short": ("ab", [4, 5]),
        "after": ("xyz", [5, 6, 7]),
        "lone": ("q", [9]),
        "empty": ("", []),
    }
    split = cutoff_split(frame(history), day(5))
    assert split.name == "cutoff"
    assert split.cutoff_at == day(5)
    assert parts(split.train) == {"over": "ab", "before": "abc"}  # in the order of their ends
    assert split.train["ended_at"].to_list() == [day(1), day(4)]
    assert split.train["event_times"].to_list() == [[day(0), day(1)], [day(0), day(1), day(4)]]
    assert cases(split.test) == {"over": ("ab", "c"), "short": ("a", "b"), "after": ("x", "y")}
    assert split.train.columns == list(SEQUENCE_COLUMNS)
    assert split.test.columns == list(CASE_COLUMNS)


@pytest.mark.parametrize(
    ("items", "repeats_allowed", "expected"),
    [
        ("abac", False, ("aba", "c")),
        ("abac", True, ("ab", "a")),
        ("abab", False, None),
        ("abab", True, ("ab", "a")),
        ("aacb", False, ("aa", "c")),
    ],
)
def test_cutoff_split_and_repeats(items, repeats_allowed, expected):
    split = cutoff_split(frame({"s": (items, [0, 1, 5, 6])}), day(5), repeats_allowed)
    assert cases(split.test).get("s") == expected


def test_cutoff_split_of_a_sequence_that_begins_after_the_date():
    history = frame({"s": ("aab", [5, 6, 7])})
    assert cases(cutoff_split(history, day(5)).test) == {"s": ("aa", "b")}
    assert cases(cutoff_split(history, day(5), allow_repeats=True).test) == {"s": ("a", "a")}


def test_cutoff_split_takes_any_time_zone_but_none_missing():
    history = frame({"s": ("abc", [0, 1, 5])})
    zone = datetime.fromisoformat("2024-01-06T02:00:00+02:00")
    assert_frame_equal(cutoff_split(history, zone).test, cutoff_split(history, day(5)).test)
    with pytest.raises(ValueError, match="time zone"):
        cutoff_split(history, datetime(2024, 1, 6))


@pytest.mark.parametrize("history", [frame({}), frame({"empty": ("", [])})])
def test_cutoff_split_of_nothing(history):
    split = cutoff_split(history, day(0))
    assert split.train.is_empty()
    assert split.test.is_empty()
    assert split.train.schema == history.schema
    assert split.test.columns == list(CASE_COLUMNS)


@given(histories(), st.integers(0, 13), st.booleans())
@settings(max_examples=60, deadline=None)
def test_cutoff_split_agrees_with_a_plain_loop(history, number, repeats_allowed):
    train, test = {}, {}
    for row in history.iter_rows(named=True):
        items, times = row["items"], row["event_times"]
        prefix = [item for item, time in zip(items, times, strict=True) if time < day(number)]
        if len(prefix) >= 2:
            train[row["sequence_id"]] = "".join(prefix)
        for position in range(1, len(items)):
            is_new = items[position] not in items[:position]
            if times[position] >= day(number) and (repeats_allowed or is_new):
                test[row["sequence_id"]] = ("".join(items[:position]), items[position])
                break
    split = cutoff_split(history, day(number), repeats_allowed)
    assert parts(split.train) == train
    assert cases(split.test) == test


@given(histories(), st.integers(0, 13), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_no_later_event_reaches_train(history, number, random):
    split = cutoff_split(history, day(number))
    times = split.train["event_times"].explode().drop_nulls()
    assert (times < day(number)).all()
    assert (split.train["ended_at"] < day(number)).all()
    shuffled = history[random.sample(range(len(history)), len(history))]
    assert_frame_equal(cutoff_split(shuffled, day(number)).test, split.test)
    planted = {
        row["sequence_id"]: (
            "".join(row["items"]) + "zz",
            [(time - START).days for time in row["event_times"]] + [20, 21],
        )
        for row in history.iter_rows(named=True)
    }
    future = frame({**planted, "new": ("yz", [number, 30])})
    future = future[random.sample(range(len(future)), len(future))]
    assert_frame_equal(cutoff_split(future, day(number)).train, split.train)


@pytest.mark.parametrize(("share", "expected"), [(0.2, 8), (0.3, 7), (0.01, 9), (0.99, 1)])
def test_holdout_cutoff_leaves_the_share_after_it(share, expected):
    history = frame({"a": ("abcde", [0, 2, 4, 6, 8]), "b": ("abcde", [1, 3, 5, 7, 9])})
    assert holdout_cutoff(history, share) == day(expected)


def test_holdout_cutoff_takes_the_closest_side_of_a_tie():
    crowded = frame({"a": ("abcdefghij", [0, 1, 5, 5, 5, 5, 5, 5, 8, 9])})
    assert holdout_cutoff(crowded, 0.3) == day(8)
    assert holdout_cutoff(crowded, 0.7) == day(5)
    assert holdout_cutoff(crowded, 0.5) == day(8)  # 0.2 and 0.8 are equally far: the later time wins


@pytest.mark.parametrize("rows", [{}, {"empty": ("", [])}, {"once": ("abc", [3, 3, 3])}])
def test_holdout_cutoff_needs_two_times(rows):
    with pytest.raises(ValueError, match="no date divides"):
        holdout_cutoff(frame(rows), 0.2)
    with pytest.raises(ValueError, match="share must lie"):
        holdout_cutoff(frame(rows), 1)


def test_validation_split_takes_the_newest():
    train = frame({f"{i:02}": ("abc", [i, i, i]) for i in range(20)} | {"one": ("a", [40])})
    rest, held_out = validation_split(train, max_cases=500)
    assert cases(held_out) == {"18": ("ab", "c"), "19": ("ab", "c")}
    assert set(parts(rest)) == set(train["sequence_id"]) - {"18", "19"}
    assert held_out.columns == list(CASE_COLUMNS)
    assert set(cases(validation_split(train, max_cases=1)[1])) == {"19"}
    assert len(validation_split(train, max_cases=0)[1]) == 0
    assert len(validation_split(train, max_sequence_share=1.0)[1]) == 19


def test_validation_split_asks_only_for_new_items_where_repeats_are_not_recommended():
    train = frame({"0": ("ab", [0, 0]), "1": ("abcab", [1, 2, 3, 4, 5]), "2": ("aa", [6, 7])})
    rest, held_out = validation_split(train, max_sequence_share=0.6, allow_repeats=False)
    assert cases(held_out) == {"1": ("ab", "c")}
    assert set(parts(rest)) == {"0"}
    assert cases(validation_split(train, max_sequence_share=0.6)[1]) == {"1": ("abca", "b"), "2": ("a", "a")}


def test_validation_cases_of_a_split_at_a_date_are_asked_for_the_next_order():
    rows = {
        "old": ("xy", [0, 1]),
        "orders": ("abcadbe", [2, 2, 3, 5, 5, 5, 5]),  # the last order has the lines a, d, b, e; a and b are repeats
        "one order": ("pqr", [6, 6, 6]),
        "again": ("stus", [6, 7, 8, 9]),  # what came last is a repeat
    }
    _, held_out = validation_split(
        frame(rows), max_sequence_share=0.75, allow_repeats=False, test_starts_at_a_date=True
    )
    assert cases(held_out) == {"orders": ("abca", "d"), "one order": ("p", "q"), "again": ("st", "u")}
    _, with_repeats = validation_split(
        frame(rows), max_sequence_share=0.75, allow_repeats=True, test_starts_at_a_date=True
    )
    assert cases(with_repeats) == {"orders": ("abc", "a"), "one order": ("p", "q"), "again": ("stu", "s")}


@pytest.mark.parametrize("rows", [{}, {"one": ("a", [0])}, {"only": ("ab", [0, 1])}])
def test_validation_split_never_takes_all(rows):
    rest, held_out = validation_split(frame(rows))
    assert parts(rest) == parts(frame(rows))
    assert held_out.is_empty()


@pytest.mark.parametrize(("limit", "share"), [(-1, 0.1), (5, -0.1), (5, 1.1)])
def test_validation_split_checks_its_arguments(limit, share):
    with pytest.raises(ValueError, match="share must lie"):
        validation_split(frame({}), limit, share)


@given(histories(), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_validation_split_ignores_row_order(history, random):
    shuffled = history[random.sample(range(len(history)), len(history))]
    one, other = (validation_split(part, 5, 0.5) for part in (history, shuffled))
    assert_frame_equal(one[0], other[0])
    assert_frame_equal(one[1], other[1])
