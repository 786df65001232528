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
from jobs.loading.report import report_source
from jobs.loading.source_report import SourceReport
from jobs.loading.sources import LoadSource
from jobs.loading.staging_rules import staging_rules
from jobs.loading.suspicions import odd_session_share, session_notes
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
    session_notes : tuple of str
        Those of the notes that say that ``source_session_id`` does not identify sessions.
    odd_session_share : float
        The share of the sessions that have several visitors, or last longer than ``max_source_session_hours``.
    read_count, deduplicated_count : int
        The numbers of rows that were read, and of those that don't repeat another.
    returning_visitors : int
        The number of visitors who have events on several days; 0 for items.
    """

    report: SourceReport
    notes: tuple[str, ...]
    session_notes: tuple[str, ...]
    odd_session_share: float
    read_count: int
    deduplicated_count: int
    returning_visitors: int


def layout_keeps_rows(connection: Connection, sample: FileSample, layout: FileLayout) -> bool:
    """Tell whether any row of a sample meets the condition of a layout; the sample has the layout's columns."""
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
    """Load a sample by a proposed feed, and return the report and the warnings of the load.

    Items are appended to ``raw.items``, so that events that are tried later find them.

    Parameters
    ----------
    layout : FileLayout, optional
        The layout of the feed's preset.
    dbt_vars : mapping
        Values of the dbt vars.

    Raises
    ------
    NextmartError
        If the feed keeps no row, or an expression of its map fails.
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
    odd_sessions = 0.0
    if source.table == "events":
        day = f"cast({rules.time_sql('event_at')} as date)"
        returning = count_rows(
            connection, f"(select visitor_id from incoming group by visitor_id having count(distinct {day}) > 1)"
        )
        if "source_session_id" in arrivals.given_columns:
            sessions = session_notes(connection, dbt_vars)
            odd_sessions = odd_session_share(connection, dbt_vars)
    return FeedTrial(
        report_source(connection, source.table, rules),
        tuple(note.removeprefix(f"{source.path}: ") for note in arrivals.notes),
        tuple(sessions),
        odd_sessions,
        arrivals.read_count,
        arrivals.deduplicated_count,
        returning,
    )
