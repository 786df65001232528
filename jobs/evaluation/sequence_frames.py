"""Data frames of sequences and of cases: their columns, their row order, and the functions from which splits are built.

A frame of sequences has the columns ``sequence_id`` (str, unique), ``visitor_id`` (str), ``items`` (list, oldest
first), ``event_times`` (list of datetime[us, UTC], parallel to items, never decreasing) and ``ended_at``
(datetime[us, UTC], the time of the last event). It may have ``is_target`` (list of bool, parallel to items): whether
the step can be the target of a case, because its event has a type of the dbt var ``target_event_types``. Without that
column every step can.

A frame of cases has ``sequence_id``, ``visitor_id``, ``items`` (the input of the model, at least one item),
``target`` (the item that came next) and ``is_tied`` (bool, whether the target and the item before it have the same
time, so that only the order of the rows decides which of the two is the target). It has ``is_target`` (list of bool,
parallel to items) if the sequences have it.

Items are item_ids, str or categorical.

Functions take frames and return frames. The order of the rows in an argument never matters: sequences are returned
sorted by (ended_at, sequence_id), cases by sequence_id.
"""

from typing import Final

import polars as pl

SEQUENCE_COLUMNS: Final = ("sequence_id", "visitor_id", "items", "event_times", "ended_at")
CASE_COLUMNS: Final = ("sequence_id", "visitor_id", "items", "target", "is_tied")

SEQUENCE_ORDER: Final = ("ended_at", "sequence_id")
_LIST_COLUMNS: Final = ("items", "event_times")
_TARGET_COLUMN: Final = "is_target"


def check_and_select_columns(sequences: pl.DataFrame) -> pl.DataFrame:
    """Check a frame of sequences, and return it with only the columns of `SEQUENCE_COLUMNS`, and ``is_target`` if any.

    Raises
    ------
    ValueError
        If a column is missing, or a ``sequence_id`` is null or occurs twice.
    """
    missing = set(SEQUENCE_COLUMNS) - set(sequences.columns)
    if missing:
        raise ValueError(f"sequences lack the columns {sorted(missing)}")
    if sequences["sequence_id"].is_duplicated().any() or sequences["sequence_id"].has_nulls():
        raise ValueError("sequence_id must be unique and never null")
    return sequences.select(*SEQUENCE_COLUMNS, *_target_columns(sequences))


def sort_sequences_by_end(sequences: pl.DataFrame) -> pl.DataFrame:
    """Check the sequences, and sort them by the time of their last event and then by ``sequence_id``.

    Raises
    ------
    ValueError
        For the same reasons as `check_and_select_columns`.
    """
    return check_and_select_columns(sequences).sort(SEQUENCE_ORDER)


def sequences_to_events(sequences: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each event, with the number of its sequence (``row``) and its place in it (``position``).

    Both numbers count from 0. Sequences without an event are left out.
    """
    return (
        sequences.with_row_index("row")
        .filter(pl.col("items").list.len() > 0)
        .with_columns(pl.int_ranges(pl.col("items").list.len()).alias("position"))
        .explode(*_list_columns(sequences), "position")
    )


def events_to_sequences(events: pl.DataFrame) -> pl.DataFrame:
    """Join the rows that are left of `sequences_to_events` into sequences, and update their ``ended_at``."""
    return (
        events.group_by("row", maintain_order=True)
        .agg(
            pl.col("sequence_id", "visitor_id").first(),
            pl.col(_list_columns(events)),
            pl.col("event_times").last().alias("ended_at"),
        )
        .select(*SEQUENCE_COLUMNS, *_target_columns(events))
    )


def drop_last_items(sequences: pl.DataFrame, count: int) -> pl.DataFrame:
    """Drop the last ``count`` items of each sequence, and update ``ended_at``.

    Every sequence must have more than ``count`` items.
    """
    return keep_first_items(sequences, pl.col("items").list.len() - count)


def keep_first_items(sequences: pl.DataFrame, count: pl.Expr) -> pl.DataFrame:
    """Keep the first ``count`` items of each sequence, and update ``ended_at``.

    The expression ``count`` gives each sequence's number, which must be at least 1.
    """
    shorter = [pl.col(name).list.head(count) for name in _list_columns(sequences)]
    return sequences.with_columns(shorter).with_columns(pl.col("event_times").list.last().alias("ended_at"))


def can_be_target(events: pl.DataFrame, allow_repeats: bool) -> pl.Expr:
    """Return an expression that tells which rows of `sequences_to_events` can be the target of a case.

    These are the rows with ``is_target``, or all rows without that column. Without ``allow_repeats``, they are those of
    them whose item is new: no earlier one of them in the sequence has the same item. An item that was only viewed
    before its purchase is new if purchases are the targets.
    """
    is_target = [pl.col(_TARGET_COLUMN)] if _TARGET_COLUMN in events.columns else []
    is_new = [] if allow_repeats else [pl.struct("row", "items", *is_target).is_first_distinct()]
    return pl.all_horizontal(pl.lit(True), *is_target, *is_new)


def cut_after_last_target(sequences: pl.DataFrame, allow_repeats: bool) -> pl.DataFrame:
    """Cut each sequence after its last step that can be a target (`can_be_target`); drop those without such a step.

    Sequences all of whose steps can be targets stay as they are.
    """
    if allow_repeats and not _target_columns(sequences):
        return sequences
    events = sequences_to_events(sequences)
    targets = events.filter(can_be_target(events, allow_repeats))
    ends = targets.group_by("row").agg(pl.col("position").max().alias("end"))
    kept = events.join(ends, on="row", maintain_order="left").filter(pl.col("position") <= pl.col("end"))
    return events_to_sequences(kept)


def sequences_that_end_with_a_target(sequences: pl.DataFrame, allow_repeats: bool) -> pl.DataFrame:
    """Cut each sequence as `cut_after_last_target` does, and keep those in which an item comes before the target."""
    return cut_after_last_target(sequences, allow_repeats).filter(pl.col("items").list.len() >= 2)


def cut_after_first_target_of_last_time(sequences: pl.DataFrame, allow_repeats: bool) -> pl.DataFrame:
    """Cut each sequence after the first of the targets that share the last target's time, such as lines of one order.

    So the last item that stays is the target that came next after all targets of earlier times. It is never the
    sequence's first item. Without ``allow_repeats`` it is new to the sequence (`can_be_target`).
    """
    events = sequences_to_events(cut_after_last_target(sequences, allow_repeats))
    targets = events.filter(
        can_be_target(events, allow_repeats) & (pl.col("event_times") == pl.col("ended_at")) & (pl.col("position") > 0)
    )
    ends = targets.group_by("row").agg(pl.col("position").min().alias("end"))
    kept = events.join(ends, on="row", maintain_order="left").filter(pl.col("position") <= pl.col("end"))
    return events_to_sequences(kept)


def make_cases(sequences: pl.DataFrame) -> pl.DataFrame:
    """Make a case of each sequence of two items or more: the last item is the target, those before it the input."""
    targets = _target_columns(sequences)
    return (
        sequences.filter(pl.col("items").list.len() >= 2)
        .with_columns(
            *(pl.col(name).list.head(pl.col(name).list.len() - 1) for name in ("items", *targets)),
            pl.col("items").list.last().alias("target"),
            (pl.col("event_times").list.get(-2) == pl.col("event_times").list.last()).alias("is_tied"),
        )
        .select(*CASE_COLUMNS, *targets)
        .sort("sequence_id")
    )


def _target_columns(frame: pl.DataFrame) -> list[str]:
    """Return the name of the column ``is_target`` if the frame has it, else no name."""
    return [_TARGET_COLUMN] if _TARGET_COLUMN in frame.columns else []


def _list_columns(frame: pl.DataFrame) -> list[str]:
    return [*_LIST_COLUMNS, *_target_columns(frame)]
