"""The training part of the history as an SQL relation, for reading a part of it without holding the history in memory.

The relation has the rows that :mod:`jobs.evaluation.splits` returns as the training part. Its queries stream through
``sessions.sequences``. What they hold in memory is a count for each hour of the history and the events or sequences of
one hour, not the history.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from jobs.evaluation.splits import PAPER_TEST_SHARE, count_of_share, cutoff_from_event_counts
from jobs.settings import Settings
from jobs.warehouse.connection import Connection, count_rows
from jobs.warehouse.reading import read_frame

HOUR_OF = "epoch_us({}) // 3_600_000_000"

TRAINING_PART_BEFORE_DATE = """
    (
        -- the events before the date, of sequences that have two or more of them
        select
            sequence_id, visitor_id, items[:kept] as items, event_times[:kept] as event_times,
            {is_target} event_times[kept] as ended_at
        from (
            select *, len(list_filter(event_times, lambda event_time: event_time < $cutoff_at)) as kept
            from sessions.sequences
        )
        where kept >= 2
    )
"""

TRAINING_PART_BEFORE_SEQUENCE = """
    (
        select * from sessions.sequences
        where ended_at < $first_test_ended_at or (ended_at = $first_test_ended_at and sequence_id < $first_test_id)
    )
"""

SequenceKey = tuple[datetime, str]
"""The time of a sequence's last event and its ``sequence_id``; sequences are ordered by it."""

NEWER_THAN_ALL: SequenceKey = (datetime.max.replace(tzinfo=UTC), "")
OLDER_THAN_ALL: SequenceKey = (datetime.min.replace(tzinfo=UTC), "")


@dataclass(frozen=True)
class TrainingRelation:
    """The training part of a split of the history, as SQL.

    Attributes
    ----------
    protocol : str
        The name of the protocol that split the history.
    cutoff_at : datetime
        The time at which the test part begins (:class:`jobs.evaluation.splits.Split`).
    sql : str
        A query in parentheses, with the columns of ``sessions.sequences``.
    parameters : mapping
        Values of the named SQL parameters in ``sql``.
    """

    protocol: str
    cutoff_at: datetime
    sql: str
    parameters: Mapping[str, Any]

    def count(self, connection: Connection, condition: str = "true") -> int:
        """Return the number of sequences for which an SQL condition holds."""
        query = f"select count(*) from {self.sql} where {condition}"  # noqa: S608
        [(count,)] = connection.execute(query, self.parameters).fetchall()
        return int(count)

    def where(self, condition: str, parameters: Mapping[str, Any]) -> "TrainingRelation":
        """Return the relation of the sequences for which an SQL condition with parameters holds."""
        sql = f"(select * from {self.sql} as training_part where {condition})"  # noqa: S608
        return TrainingRelation(self.protocol, self.cutoff_at, sql, {**self.parameters, **parameters})

    def key_of_newest(self, connection: Connection, number: int) -> SequenceKey:
        """Return the key of the sequence that is the newest for number 1, the second newest for 2, and so on.

        For number 0, the key is higher than that of each sequence; for a number above the count of sequences, lower.
        """
        return _key_of_newest(connection, self.sql, self.parameters, number)


def find_training_relation(
    connection: Connection, settings: Settings, cutoff_at: datetime | None = None
) -> TrainingRelation | None:
    """Return the training part by the protocol of the settings; None if the history is too short to be split.

    Parameters
    ----------
    cutoff_at : datetime, optional
        The date of the protocol ``cutoff``, as in :func:`jobs.evaluation.protocols.split_history`.
    """
    if settings.protocol == "paper":
        history_count = count_rows(connection, "sessions.sequences")
        test_count = count_of_share(history_count, PAPER_TEST_SHARE)
        if not 0 < test_count < history_count:
            return None
        first_test_key = _key_of_newest(connection, "sessions.sequences", {}, test_count)
        first_test = dict(zip(("first_test_ended_at", "first_test_id"), first_test_key, strict=True))
        return TrainingRelation("paper", first_test_key[0], TRAINING_PART_BEFORE_SEQUENCE, first_test)
    cutoff_at = cutoff_at or settings.cutoff_at or _read_holdout_cutoff(connection, settings.holdout_share)
    if cutoff_at is None:
        return None
    is_target = "is_target[:kept] as is_target," if settings.job_vars().target_event_types else ""
    sql = TRAINING_PART_BEFORE_DATE.format(is_target=is_target)
    return TrainingRelation("cutoff", cutoff_at, sql, {"cutoff_at": cutoff_at})


def _key_of_newest(connection: Connection, relation: str, parameters: Mapping[str, Any], number: int) -> SequenceKey:
    """Return the key of a relation's sequence (:meth:`TrainingRelation.key_of_newest`).

    The hours in which sequences ended are counted first, then the sequences of one hour are sorted.
    """
    if number == 0:
        return NEWER_THAN_ALL
    hour_of_end = HOUR_OF.format("ended_at")
    hours = read_frame(
        connection,
        f"select {hour_of_end} as hour, count(*) as sequences from {relation} group by hour order by hour desc",  # noqa: S608
        parameters,
    ).with_columns(pl.col("sequences").cum_sum().alias("so_far"))
    reached = hours.filter(pl.col("so_far") >= number).head(1)
    if reached.is_empty():
        return OLDER_THAN_ALL
    hour, sequences, so_far = reached.row(0)
    [key] = connection.execute(
        f"select ended_at, sequence_id from {relation} where {hour_of_end} = $hour "  # noqa: S608
        f"order by ended_at desc, sequence_id desc limit 1 offset {number - (so_far - sequences) - 1}",
        {**parameters, "hour": hour},
    ).fetchall()
    return key


def _read_holdout_cutoff(connection: Connection, test_event_share: float) -> datetime | None:
    """Return what `holdout_cutoff` returns for the whole history; None if it has fewer than two different times.

    The events of each hour are counted; the events at each time are counted only in the hour in which the share is
    reached. In every other hour, the hour's first time stands for all its events: the number of events from that time
    on is the same.
    """
    events = "(select unnest(event_times) as event_time from sessions.sequences)"
    hour_of_event = HOUR_OF.format("event_time")
    hours = read_frame(
        connection,
        f"select {hour_of_event} as hour, min(event_time) as time, count(*) as events from {events} "  # noqa: S608
        "group by hour order by hour desc",
    )
    wanted = test_event_share * int(hours["events"].sum())
    reached = hours.filter(pl.col("events").cum_sum() >= wanted).head(1)
    times = read_frame(
        connection,
        f"select event_time as time, count(*) as events from {events} "  # noqa: S608
        f"where {hour_of_event} = $hour group by event_time",
        {"hour": reached["hour"].max()},
    )
    other_hours = hours.join(reached, on="hour", how="anti").select("time", "events")
    events_by_time = pl.concat([other_hours, times])
    return cutoff_from_event_counts(events_by_time, test_event_share) if len(events_by_time) >= 2 else None
