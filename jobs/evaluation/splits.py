"""Splits of the history into a training and a test part: as in arXiv 2309.09261, leave-one-out, and at a date.

Frames of sequences and of cases are described in :mod:`jobs.evaluation.sequence_frames`.
"""

import math
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from jobs.evaluation.sequence_frames import (
    SEQUENCE_ORDER,
    can_be_target,
    check_and_select_columns,
    cut_after_last_target,
    drop_last_items,
    events_to_sequences,
    keep_first_items,
    make_cases,
    sequences_that_end_with_a_target,
    sequences_to_events,
    sort_sequences_by_end,
)

PAPER_TEST_SHARE = 0.2
"""The share of the sequences that `paper_split` tests on."""


@dataclass(frozen=True, eq=False)
class Split:
    """A division of the history into sequences to train on and cases to test on.

    Attributes
    ----------
    name : str
        The name of the protocol (``paper``, ``cutoff`` or ``leave_one_out``), or ``fold`` and its number.
    train : polars.DataFrame
        Sequences to learn from, in the columns of `SEQUENCE_COLUMNS`.
    test : polars.DataFrame
        Cases, in the columns of `CASE_COLUMNS`.
    cutoff_at : datetime
        The time at which the test part begins. For ``cutoff``, every event of train is before it. For ``paper``, it
        is the end of the first test sequence, and the last training sequences may end at the same time. For
        ``leave_one_out``, it is the time of the first target, long before most events of train.
    validation : polars.DataFrame, optional
        The cases that decide when training stops, if the protocol defines them; else None, and
        :func:`jobs.evaluation.validation_splits.validation_split` takes them from train.
    """

    name: str
    train: pl.DataFrame
    test: pl.DataFrame
    cutoff_at: datetime
    validation: pl.DataFrame | None = None


def paper_split(sequences: pl.DataFrame, test_sequence_share: float = PAPER_TEST_SHARE) -> Split:
    """Split as arXiv 2309.09261 does: the sequences that ended last are the test part, and no sequence is cut in two.

    Sequences are sorted by their end. The last ceil(test_sequence_share * n) of n sequences are the test part, the
    others the training part, unchanged.
    From the test part, items that no training sequence has are removed, and then sequences of fewer than two items. Of
    each remaining test sequence the last item is the target and the items before it are the input. Only the ends of
    the sequences are split in time: a test sequence may begin long before training ends.
    Source: released code of arXiv 2309.09261 (split and ``filter_non_trained_test_items``). That code sorts sequences
    of the same end in an unstable order; here ``sequence_id`` breaks the tie. On the Beauty data of
    arXiv 2309.09261, whose times are days, both give 17,890 training sequences and 4,469 cases. 12 of the cases differ,
    all among the 58 sequences that end on the day where the two parts meet.

    Parameters
    ----------
    sequences : polars.DataFrame
    test_sequence_share : float
        Between 0 and 1, both excluded.

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        If there are fewer than two sequences, the share leaves none for training, a column is missing, or a
        ``sequence_id`` is null or occurs twice.
    """
    ordered = sort_sequences_by_end(sequences)
    n_test = count_of_share(len(ordered), test_sequence_share)
    if not 0 < n_test < len(ordered):
        raise ValueError(f"{len(ordered)} sequences cannot be split with a test share of {test_sequence_share}")
    return split_whole_sequences("paper", ordered.head(-n_test), ordered.tail(n_test))


def leave_one_out_split(sequences: pl.DataFrame, allow_repeats: bool = True) -> Split:
    """Split each sequence: test on its last item, validate on its last but one, train on the items before.

    In a sequence of three items or more the last item is the test target, and the last but one is the validation
    target; the input is every item before the target. Shorter sequences belong to train unchanged. Targets that train
    does not contain are kept.
    If only some steps can be targets (column ``is_target``), the last of these that is not the first step is the test
    target, and the one before, if there is one, the validation target. Train has what comes before both, and the
    sequences without a target.
    If recommendation lists may not contain items of the input, a repeat could never be hit. So both targets are then
    the last items that are new to their sequence, and what follows the test target is in no part. On data without
    repeats, such as Amazon Beauty, this changes nothing.
    Source: the split of SASRec (arXiv 1808.09781) and most papers after it.

    This split leaks the future: train contains events that are later than most targets, so a model knows which items
    will become popular. Figures are too high, and models rank in another order than with a split in time ("Time to
    Split", arXiv 2507.16289). Use it to compare with published figures, not to choose a model.

    Parameters
    ----------
    sequences : polars.DataFrame
    allow_repeats : bool
        Whether an item may be a target if its sequence already contains it.

    Returns
    -------
    Split
        Its field ``validation`` is set.

    Raises
    ------
    ValueError
        If no sequence has a test target, a column is missing, or a ``sequence_id`` is null or occurs twice.
    """
    ordered = sort_sequences_by_end(sequences)
    tested = sequences_that_end_with_a_target(ordered, allow_repeats)
    validated = sequences_that_end_with_a_target(drop_last_items(tested, 1), allow_repeats)
    if "is_target" not in sequences.columns:
        tested = tested.join(validated, on="sequence_id", how="semi", maintain_order="left")
    if tested.is_empty():
        raise ValueError("leave-one-out needs a sequence of three items, or of one before a target; there is none")
    untested = ordered.join(tested, on="sequence_id", how="anti")
    only_tested = tested.join(validated, on="sequence_id", how="anti")
    train = pl.concat([untested, drop_last_items(only_tested, 1), drop_last_items(validated, 1)]).sort(SEQUENCE_ORDER)
    first_target_at = tested["ended_at"].min()
    return Split("leave_one_out", train, make_cases(tested), first_target_at, make_cases(validated))  # type: ignore[arg-type]


def cutoff_split(sequences: pl.DataFrame, cutoff_at: datetime, allow_repeats: bool = False) -> Split:
    """Split the history at a date: train on the events before it, and test on each sequence's next target after it.

    The training part has the events strictly before the date: the first part of each sequence, if it has two items or
    more. Its ``ended_at`` is the time of its last event before the date. A sequence gives a case if an event at or
    after the date follows another event of the sequence and can be a target. The item of the first such event is the
    target, and all items before it are the input. The input may contain items after the date, if the sequence began
    after it, or went on with repeats or with events that can be no target. Targets that train does not contain are
    kept: a model that can't recommend a new item misses these cases.
    Source: the global temporal split that "Time to Split" (arXiv 2507.16289) argues for, with one target for each
    sequence, its next item.

    Parameters
    ----------
    sequences : polars.DataFrame
    cutoff_at : datetime
        A date and time with a time zone.
    allow_repeats : bool
        Whether an item may be the target if its sequence already contains it.

    Returns
    -------
    Split
        Either part may be empty.

    Raises
    ------
    ValueError
        If the date has no time zone, a column is missing, or a ``sequence_id`` is null or occurs twice.
    """
    if cutoff_at.tzinfo is None:
        raise ValueError("cutoff_at needs a time zone")
    ordered = sort_sequences_by_end(sequences)
    date = pl.lit(cutoff_at).cast(pl.Datetime("us", "UTC"))
    events_before = pl.col("event_times").list.eval(pl.element() < date).list.sum()
    train = keep_first_items(ordered.filter(events_before >= 2), events_before).sort(SEQUENCE_ORDER)
    events = sequences_to_events(ordered.filter(pl.col("ended_at") >= date))
    eligible = can_be_target(events, allow_repeats) & (pl.col("event_times") >= date) & (pl.col("position") > 0)
    targets = events.filter(eligible).group_by("row").agg(pl.col("position").min().alias("target_position"))
    shown = events.join(targets, on="row", maintain_order="left").filter(
        pl.col("position") <= pl.col("target_position")
    )
    return Split("cutoff", train, make_cases(events_to_sequences(shown)), cutoff_at)


def holdout_cutoff(sequences: pl.DataFrame, test_event_share: float) -> datetime:
    """Return the event time for which the share of events at or after it is closest to ``test_event_share``.

    At least one event is before that time. Of two times that come equally close, the later one is returned.

    Parameters
    ----------
    sequences : polars.DataFrame
    test_event_share : float
        Between 0 and 1, both excluded.

    Raises
    ------
    ValueError
        If all events have the same time, there are no events, the share is out of range, or a column is missing.
    """
    times = check_and_select_columns(sequences)["event_times"].explode().drop_nulls().alias("time").to_frame()
    return cutoff_from_event_counts(times.group_by("time").len("events"), test_event_share)


def cutoff_from_event_counts(events_by_time: pl.DataFrame, test_event_share: float) -> datetime:
    """Return what `holdout_cutoff` returns, from the number of events at each time.

    Parameters
    ----------
    events_by_time : polars.DataFrame
        A row for each time, with the columns ``time`` (datetime[us, UTC], unique) and ``events`` (int).
    test_event_share : float
        Between 0 and 1, both excluded.

    Raises
    ------
    ValueError
        If there are fewer than two times, or the share is out of range.
    """
    if not 0 < test_event_share < 1:
        raise ValueError(f"test_event_share must lie between 0 and 1, got {test_event_share}")
    by_time = events_by_time.sort("time", descending=True)
    after = by_time.with_columns(pl.col("events").cum_sum().alias("after")).head(-1)
    if after.is_empty():
        raise ValueError("no date divides the events: they all lie at one time, or there are none")
    distance = (pl.col("after") - test_event_share * int(by_time["events"].sum())).abs()
    chosen: datetime = after.sort(distance, maintain_order=True)["time"][0]
    return chosen


def count_of_share(total: int, share: float) -> int:
    """Return ceil(share * total) without float error: 7 for 0.07 * 100, whose product is a little more than 7."""
    return math.ceil(round(share * total, 6))


def split_whole_sequences(
    split_name: str, train: pl.DataFrame, held_out_sequences: pl.DataFrame, allow_repeats: bool = True
) -> Split:
    """Return a split whose test cases are made from the held-out sequences, without the items that ``train`` lacks.

    Parameters
    ----------
    train, held_out_sequences : polars.DataFrame
        Sequences to train on and to test on; ``held_out_sequences`` must be sorted by ``ended_at``.
    allow_repeats : bool
        Whether an item may be the target if its sequence already contains it.
    """
    train_items = train["items"].explode().unique()
    kept = events_to_sequences(
        sequences_to_events(held_out_sequences).filter(pl.col("items").is_in(train_items.implode()))
    )
    cases = make_cases(cut_after_last_target(kept, allow_repeats))
    return Split(split_name, train, cases, held_out_sequences["ended_at"][0])
