"""Tries a proposed feed: loads its sample as `nextmart load` would, in a scratch database."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from jobs.loading.arrivals import read_mapped_rows
from jobs.loading.preset_sources import relation_of_layout, with_layout
from jobs.loading.presets.layout import FileLayout
from jobs.loading.proposals.samples import FileSample
from jobs.loading.readable_rows import name_source_in_errors
from jobs.loading.relations import FileRelation
from jobs.loading.report import make_source_report
from jobs.loading.source_report import SourceReport
from jobs.loading.sources import LoadSource
from jobs.loading.staging_rules import staging_rules
from jobs.loading.suspicions import notes_on_split_sessions, share_of_split_sessions
from jobs.warehouse.connection import Connection, count_rows


@dataclass(frozen=True)
class FeedTrial:
    """The result of loading a sample by a proposed feed.

    Attributes
    ----------
    report : SourceReport
        The report that ``nextmart load`` would print.
    notes : tuple of str
        The warnings that ``nextmart load`` would print.
    split_session_notes : tuple of str
        Those of the notes that say that ``source_session_id`` does not identify sessions.
    split_session_share : float
        The share of the sessions that have several visitors, or last longer than ``max_source_session_hours``.
    read_count, count_without_repeats : int
        The number of rows that were read, and the number without repeated rows.
    returning_visitor_count : int
        The number of visitors who have events on several days; 0 for items.
    """

    report: SourceReport
    notes: tuple[str, ...]
    split_session_notes: tuple[str, ...]
    split_session_share: float
    read_count: int
    count_without_repeats: int
    returning_visitor_count: int


def layout_keeps_rows(connection: Connection, sample: FileSample, layout: FileLayout) -> bool:
    """Tell whether any row of a sample, which has the layout's columns, meets the layout's condition."""
    files = relation_of_layout(FileRelation(sample.relation, dict(sample.column_types)), layout)
    try:
        return bool(count_rows(connection, f"(from {files.sql} where {layout.where_sql or 'true'} limit 1)"))
    except duckdb.Error:
        return False


def try_feed(
    connection: Connection,
    sample: FileSample,
    source: LoadSource,
    layout: FileLayout | None,
    dbt_vars: Mapping[str, Any],
) -> FeedTrial:
    """Load a sample as a proposed feed says, and return the report and the warnings of the load.

    The rows of a feed of items stay in ``raw.items`` of the warehouse of the trials, so that a later trial of a feed of
    events can look up the items of its events.

    Parameters
    ----------
    layout : FileLayout, optional
        The layout of the feed's preset; None without a preset.
    dbt_vars : mapping
        Values of the dbt vars.

    Raises
    ------
    NextmartError
        If no row meets the feed's ``where``, or an expression of the feed's ``map`` fails.
    """
    files = FileRelation(sample.relation, dict(sample.column_types))
    if layout:
        source, files = with_layout(source, layout), relation_of_layout(files, layout)
    with name_source_in_errors(source, files):
        arrivals = read_mapped_rows(connection, source, files, dbt_vars, "tried_rows")
    if source.table == "items":
        connection.execute("insert into raw.items by name select *, now() as loaded_at from incoming")
    rules = staging_rules(dbt_vars)
    returning = 0
    sessions: list[str] = []
    split_sessions = 0.0
    if source.table == "events":
        day = f"cast({rules.time_sql('event_at')} as date)"
        returning = count_rows(
            connection, f"(select visitor_id from incoming group by visitor_id having count(distinct {day}) > 1)"
        )
        if "source_session_id" in arrivals.given_columns:
            sessions = notes_on_split_sessions(connection, dbt_vars)
            split_sessions = share_of_split_sessions(connection, dbt_vars)
    return FeedTrial(
        make_source_report(connection, source.table, rules),
        tuple(note.removeprefix(f"{source.path}: ") for note in arrivals.notes),
        tuple(sessions),
        split_sessions,
        arrivals.read_count,
        arrivals.count_without_repeats,
        returning,
    )
