"""What the rows of a source look like that their owner should know: said as warnings, without changing a row.

Every function reads the temporary table ``incoming`` and returns texts for people.
"""

from collections.abc import Mapping
from typing import Any

from jobs.loading.sources import SourceFiles
from jobs.loading.text_values import ID_COLUMNS, has_decimals, is_floating
from jobs.warehouse.connection import Connection, count_rows
from jobs.warehouse.dbt_macros import dbt_macros

LARGEST_EXACT_ID = 2**53
FEW_ORDERS = 3
"""So many event ids with several items pass without a word: trackers repeat an id now and then."""
GROUPED_EVENTS = 5_000_000
"""About how many events are grouped by their ids; of more events, a part is grouped, and counts are extrapolated."""


def decimal_id_notes(connection: Connection, value_types: Mapping[str, str]) -> list[str]:
    """Return a note on the id columns that files hold as decimal numbers.

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


def order_line_notes(connection: Connection, source: SourceFiles, variables: Mapping[str, Any]) -> list[str]:
    """Return a warning if event ids name several items, as the lines of an order do, and only one item will count.

    Parameters
    ----------
    variables : mapping
        Values of the dbt vars.
    """
    if "item_id" in variables["event_identity"]:
        return []
    parts = max(1, count_rows(connection, "incoming") // GROUPED_EVENTS)
    row = connection.execute(
        "select count(*), any_value(event_id), any_value(first_item), any_value(last_item) from ("
        "select event_id, min(item_id) as first_item, max(item_id) as last_item from incoming "
        f"where event_id is not null and hash(event_id) % {parts} = 0 group by event_id "
        "having min(item_id) <> max(item_id) and count(distinct visitor_id) <= 1 "
        "and min(event_at) is not distinct from max(event_at) order by event_id)"
    ).fetchone()
    if row is None or row[0] <= FEW_ORDERS:
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


def session_notes(connection: Connection, variables: Mapping[str, Any]) -> list[str]:
    """Return a warning if sessions of the tracker will be cut: they have several visitors, or last too long.

    Parameters
    ----------
    variables : mapping
        Values of the dbt vars; ``max_source_session_hours`` is the longest time.
    """
    longest_hours, gap_minutes = variables["max_source_session_hours"], variables["session_gap_minutes"]
    rows = connection.execute(
        f"select * exclude (is_odd), count(*) over () from ({_judged_sessions(variables)}) where is_odd "
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


def odd_session_share(connection: Connection, variables: Mapping[str, Any]) -> float:
    """Return the share of the tracker's sessions in ``incoming`` that will be cut; 0 if there are no sessions.

    Parameters
    ----------
    variables : mapping
        Values of the dbt vars.
    """
    share = connection.execute(f"select avg(is_odd::int) from ({_judged_sessions(variables)})").fetchall()[0][0]
    return float(share or 0)


def _judged_sessions(variables: Mapping[str, Any]) -> str:
    """Return the query of the tracker's sessions in ``incoming``; ``is_odd``: shared by visitors, or too long."""
    macros = dbt_macros(variables=variables)
    seconds = f"datesub('second', {macros.to_timestamp_utc('first_at')}, {macros.to_timestamp_utc('last_at')})"
    # the smallest and the largest text of one session are its first and last time, if all times have one form
    return (
        "with visitors_of_sessions as (select source_session_id, visitor_id, count(*) as event_count, "
        "min(event_at) as first_at, max(event_at) as last_at from incoming group by source_session_id, visitor_id), "
        "sessions as (select source_session_id, count(*) as visitors, sum(event_count)::bigint as event_count, "
        "min(first_at) as first_at, max(last_at) as last_at from visitors_of_sessions "
        f"where {macros.null_word_as_null('source_session_id')} is not null "
        f"and {macros.null_word_as_null('visitor_id')} is not null group by source_session_id), "
        f"timed as (select *, coalesce({seconds}, 0) / 3600 as hours from sessions) "
        f"select *, visitors > 1 or hours > {float(variables['max_source_session_hours'])} as is_odd from timed"
    )
