"""Warnings about suspicious rows of a source, such as rounded ids or repeated event ids; no row is changed.

The functions read the temporary view ``incoming``, which holds the source's rows.
"""

from collections.abc import Mapping
from typing import Any

from jobs.loading.sources import LoadSource
from jobs.loading.values_as_text import ID_COLUMNS, has_decimals, is_floating
from jobs.warehouse.connection import Connection, count_rows
from jobs.warehouse.dbt_macros import dbt_macros

LARGEST_EXACT_ID = 2**53
IGNORED_ORDERS = 3
"""The most event ids with several items that give no warning, because trackers repeat an id now and then."""
GROUPED_EVENTS = 5_000_000
"""About the most events that are grouped by event id; of more events, a part is grouped and counts are extrapolated."""


def decimal_id_notes(connection: Connection, value_types: Mapping[str, str]) -> list[str]:
    """Return warnings about id columns whose ids the files hold as decimal numbers, which may have lost digits.

    Parameters
    ----------
    value_types : nextmart's column -> DuckDB type in the files
    """
    columns = [
        name
        for name, type_name in value_types.items()
        if name in ID_COLUMNS
        and has_decimals(type_name)
        and count_rows(connection, f"incoming where {name} is not null")
    ]
    if not columns:
        return []
    types = ", ".join(f"{name} ({value_types[name]})" for name in columns)
    notes = [f"ids that the file holds as decimal numbers are loaded without '.0': {types}"]
    for name in (name for name in columns if is_floating(value_types[name])):
        large = f"incoming where abs(try_cast({name} as double)) > {LARGEST_EXACT_ID}"
        if count := count_rows(connection, large):
            notes.append(
                f"warning: {name}: {count:,} ids are too long for the file's floating-point numbers, which keep 15 "
                "digits: different ids may have become one. Export them as integers or text."
            )
    return notes


def order_line_notes(
    connection: Connection, source: LoadSource, dbt_vars: Mapping[str, Any], events_relation: str = "incoming"
) -> list[str]:
    """Return a warning if rows of several items share an event id, as the lines of an order do.

    The build would count only one of these items.

    Parameters
    ----------
    dbt_vars : mapping
        Values of the dbt vars.
    events_relation : str
        A relation with at least all rows that share their ``event_id`` with another row.
    """
    if "item_id" in dbt_vars["event_identity"]:
        return []
    parts = max(1, count_rows(connection, events_relation) // GROUPED_EVENTS)
    row = connection.execute(
        "select count(*), any_value(event_id), any_value(first_item), any_value(last_item) from ("
        "select event_id, min(item_id) as first_item, max(item_id) as last_item "
        f"from {events_relation} where event_id is not null and hash(event_id) % {parts} = 0 group by event_id "
        "having min(item_id) <> max(item_id) and min(visitor_id) is not distinct from max(visitor_id) "
        "and min(event_at) is not distinct from max(event_at) order by event_id)"
    ).fetchone()
    if row is None or row[0] <= IGNORED_ORDERS:
        return []
    count, event_id, first_item, last_item = row
    ours = {name: source.column_map.get(name, name) for name in ("event_id", "item_id")}
    return [
        f"warning: {'about ' if parts > 1 else ''}{count * parts:,} event_ids stand in rows of several items at the "
        f"same time, as in an order of many products: event_id '{event_id}' has the items '{first_item}' and "
        f"'{last_item}'. Of each id only one item will count. If each row is an event, set "
        'event_identity = ["event_id", "item_id"] under [vars] in nextmart.toml (if there was a build before, run once '
        "with --full-refresh), or load "
        f"with --map \"events.event_id={ours['event_id']} || '-' || {ours['item_id']}\""
    ]


def notes_on_split_sessions(connection: Connection, dbt_vars: Mapping[str, Any]) -> list[str]:
    """Return a warning if the tracker's sessions will be split, because they have several visitors or are too long.

    Parameters
    ----------
    dbt_vars : mapping
        Values of the dbt vars; ``max_source_session_hours`` is the longest duration of a session.
    """
    longest_hours, gap_minutes = dbt_vars["max_source_session_hours"], dbt_vars["session_gap_minutes"]
    rows = connection.execute(
        f"select * exclude (is_split), count(*) over () from ({_sessions_sql(dbt_vars)}) where is_split "
        "order by event_count desc, source_session_id limit 1"
    ).fetchall()
    if not rows:
        return []
    session_id, visitors, event_count, first_at, last_at, hours, session_count = rows[0]
    return [
        f"warning: {session_count:,} of the source_session_ids belong to several visitors or last longer than "
        f"{longest_hours:g} hours (max_source_session_hours), such as '{session_id}': {event_count:,} events of "
        f"{visitors:,} visitors, {int(hours):,} hours from {first_at} to {last_at}. Such sessions are cut where their "
        f"visitor is silent for more than {gap_minutes:g} minutes (session_gap_minutes). If they are no sessions at "
        "all, load with --map source_session_id=null"
    ]


def share_of_split_sessions(connection: Connection, dbt_vars: Mapping[str, Any]) -> float:
    """Return the share of the tracker's sessions in ``incoming`` that the build will split; 0 if there are none.

    The build splits a session that has several visitors or lasts too long.

    Parameters
    ----------
    dbt_vars : mapping
        Values of the dbt vars.
    """
    share = connection.execute(f"select avg(is_split::int) from ({_sessions_sql(dbt_vars)})").fetchall()[0][0]
    return float(share or 0)


def _sessions_sql(dbt_vars: Mapping[str, Any]) -> str:
    """Return the SQL of the tracker's sessions in ``incoming``.

    The column ``is_split`` tells whether the build will split a session: it has several visitors or lasts too long.
    """
    macros = dbt_macros(dbt_vars=dbt_vars)
    seconds = f"datesub('second', {macros.to_timestamp_utc('first_at')}, {macros.to_timestamp_utc('last_at')})"
    # times are compared as texts: within a session all have one format, in which the order of texts is that of times
    return (
        "with visitors_of_sessions as (select source_session_id, visitor_id, count(*) as event_count, "
        "min(event_at) as first_at, max(event_at) as last_at from incoming group by source_session_id, visitor_id), "
        "sessions as (select source_session_id, count(*) as visitors, sum(event_count)::bigint as event_count, "
        "min(first_at) as first_at, max(last_at) as last_at from visitors_of_sessions "
        f"where {macros.null_word_as_null('source_session_id')} is not null "
        f"and {macros.null_word_as_null('visitor_id')} is not null group by source_session_id), "
        f"timed as (select *, coalesce({seconds}, 0) / 3600 as hours from sessions) "
        f"select *, visitors > 1 or hours > {float(dbt_vars['max_source_session_hours'])} as is_split from timed"
    )
