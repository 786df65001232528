"""Appends events of large files to ``raw.events`` straight from the files, without a temporary copy of the rows.

The rows of other sources go into temporary tables first, where they are compared with the rows of the raw tables. Here
the files are read twice instead. The first time, ``large_file_hashes`` keeps only a hash of each row; the hashes tell
which rows may repeat others. The second time, all other rows go into the table at once. That is faster, because it
costs many times more to write rows than to read them.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from jobs.errors import NextmartError
from jobs.loading.arrivals import Arrivals, DirectAppendFile, suspicious_row_notes
from jobs.loading.mapping import TABLE_COLUMNS
from jobs.loading.row_hashes import (
    EVENT_COLUMNS,
    ID_HASH,
    ROW_HASH,
    fill_possible_repeat_hashes,
    is_possible_repeat_sql,
    possible_repeats_sql,
)
from jobs.warehouse.connection import Connection, count_rows, execute_and_fetch_number, literal

MAX_POSSIBLE_REPEAT_SHARE: Final = 0.05
"""If a larger share of the rows may repeat others by the hash of their id alone, a hash of the whole row is used."""

CREATE_SINGLE_EVENTS = """
    -- Each event among the possible repeats once, with the first file that has it
    create or replace temp table single_events as
    select min(file_number) as file_number, count(*) as row_count, {columns} from possible_repeats group by {columns}
"""
CREATE_LOADED_EVENTS = """
    -- The single events that raw.events has already
    create or replace temp table {table} as
    select single_events.* from single_events semi join (from raw.events where {is_possible_repeat}) as known on {same}
"""
CREATE_NEW_EVENTS = """
    -- The single events that raw.events lacks
    create or replace temp table new_events as select * from single_events anti join {known} as known on {same}
"""
CREATE_APPENDED_EVENTS = """
    -- All events of the files, each once: those that this load has appended, and those that raw.events had before
    create or replace temp view {relation} as
    select {columns} from raw.events where loaded_at = {loaded_at}::timestamptz
    union all select {columns} from {known}
"""


class FilesChangedError(NextmartError):
    """A file had other rows when it was read the second time than when its rows were hashed."""


def append_directly(
    connection: Connection, arrivals: Arrivals, dbt_vars: Mapping[str, Any], loaded_at: datetime
) -> Arrivals:
    """Append the rows that are still in their files to ``raw.events``: each once, and only if the table lacks it.

    Parameters
    ----------
    dbt_vars : mapping
        Values of the dbt vars, by which dbt's staging will read the rows.
    loaded_at : datetime
        The ``loaded_at`` of the new rows.

    Returns
    -------
    The arrivals with the numbers of rows, and with the warnings for which all rows have to be known. Their relation has
    all rows of the files, each once

    Raises
    ------
    FilesChangedError
        If a file has changed since ``hash_source_rows``.
    duckdb.Error
        If DuckDB refuses a value that ``hash_source_rows`` did not read.
    """
    has_loaded_events = count_rows(connection, "(from raw.events limit 1)") > 0
    row_hash_sql, possible_repeat_count = _find_possible_repeats(
        connection, arrivals, has_loaded_events=has_loaded_events
    )
    known = f"{arrivals.relation}_known"
    new_events = _split_loaded_from_new_rows(
        connection,
        arrivals.direct_append_files,
        row_hash_sql,
        has_loaded_events=has_loaded_events,
        loaded_events_table=known,
    )
    where = f"where not ({is_possible_repeat_sql(row_hash_sql)})" if possible_repeat_count else ""
    loaded_counts = [
        _insert_and_count(connection, f"select {EVENT_COLUMNS} from ({file.rows_sql}) {where}", loaded_at)
        for file in arrivals.direct_append_files
    ]
    possible_repeats_read = execute_and_fetch_number(
        connection, "select coalesce(sum(row_count), 0) from single_events"
    )
    if sum(loaded_counts) + possible_repeats_read != arrivals.read_count:
        raise FilesChangedError(f"{arrivals.source.path} has changed while it was read; nothing was loaded")
    _insert_and_count(connection, f"select {EVENT_COLUMNS} from {new_events} order by file_number", loaded_at)
    by_file = f"select file_number, count(*) from {new_events} group by file_number"
    for file_number, count in connection.execute(by_file).fetchall():
        loaded_counts[file_number] += count
    relation = "raw.events"  # the table had no rows before, so all of them are from these files
    if has_loaded_events:
        relation = f"{arrivals.relation}_appended"
        appended = {"relation": relation, "known": known, "loaded_at": literal(loaded_at.isoformat())}
        connection.execute(CREATE_APPENDED_EVENTS.format(columns=EVENT_COLUMNS, **appended))
    connection.execute(f"create or replace temp view incoming as from {relation}")
    rows_by_id = "single_events" if row_hash_sql == ID_HASH else "incoming"  # both have all rows that share an event_id
    notes = suspicious_row_notes(connection, arrivals.source, relation, arrivals.given_columns, dbt_vars, rows_by_id)
    return replace(
        arrivals,
        relation=relation,
        count_without_repeats=sum(loaded_counts) + count_rows(connection, known),
        notes=tuple(f"{arrivals.source.path}: {note}" for note in notes),
        direct_append_files=(),
        loaded_row_counts_of_files=tuple(loaded_counts),
        visitor_and_item_ids_relation=_relation_for_counting_ids(arrivals.direct_append_files),
    )


def _relation_for_counting_ids(files: tuple[DirectAppendFile, ...]) -> str:
    """Return the SQL of the relation in which distinct ids are counted fastest.

    The relation reads the files themselves if all are Parquet files, in whose dictionaries DuckDB counts values fast;
    otherwise it is ``incoming``.
    """
    if not all(file.is_parquet for file in files):
        return "incoming"
    union = " union all ".join(f"select visitor_id, user_id, item_id from ({file.rows_sql})" for file in files)
    return f"({union})"


def _find_possible_repeats(connection: Connection, arrivals: Arrivals, *, has_loaded_events: bool) -> tuple[str, int]:
    """Fill the temporary table ``possible_repeat_hashes`` with the hashes of rows that may repeat others.

    Returns
    -------
    tuple of (str, int)
        The SQL of the rows' hash, and the number of rows that may repeat others.
    """
    files = arrivals.direct_append_files
    hashes = " union all ".join(f"select row_hash from {file.hashes_table}" for file in files)
    kinds = {file.row_hash_sql for file in files}
    row_hash_sql, possible_repeat_count = ROW_HASH, 0
    if len(kinds) == 1:
        (row_hash_sql,) = kinds
        possible_repeat_count = fill_possible_repeat_hashes(
            connection, f"({hashes})", row_hash_sql, has_loaded_events=has_loaded_events
        )
        if possible_repeat_count > MAX_POSSIBLE_REPEAT_SHARE * arrivals.read_count and row_hash_sql == ID_HASH:
            row_hash_sql = ROW_HASH
    if row_hash_sql not in kinds:  # the hashes are of different columns, or too many rows share the hash of their id
        for file in files:
            connection.execute(
                f"create or replace temp table {file.hashes_table} as select {ROW_HASH} as row_hash from "
                f"({file.rows_sql})"
            )
        possible_repeat_count = fill_possible_repeat_hashes(
            connection, f"({hashes})", ROW_HASH, has_loaded_events=has_loaded_events
        )
    for file in files:
        connection.execute(f"drop table {file.hashes_table}")
    return row_hash_sql, possible_repeat_count


def _split_loaded_from_new_rows(
    connection: Connection,
    files: tuple[DirectAppendFile, ...],
    row_hash_sql: str,
    *,
    has_loaded_events: bool,
    loaded_events_table: str,
) -> str:
    """Split the rows that may repeat others into those that ``raw.events`` has and new ones.

    The temporary table ``single_events`` gets all of them, each once, and ``loaded_events_table`` gets those that
    ``raw.events`` has.

    Returns
    -------
    Name of the temporary table with the others, which are new
    """
    connection.execute(
        f"create or replace temp table possible_repeats as select 0 as file_number, {EVENT_COLUMNS} from raw.events "
        "limit 0"
    )
    if count_rows(connection, "possible_repeat_hashes"):
        for number, file in enumerate(files):
            possible_repeats = (
                file.possible_repeats_sql
                if row_hash_sql == file.row_hash_sql
                else possible_repeats_sql(file.rows_sql, row_hash_sql)
            )
            connection.execute(
                f"insert into possible_repeats by name select {number} as file_number, {EVENT_COLUMNS} from "
                f"({possible_repeats})"
            )
    same = " and ".join(f"single_events.{name} is not distinct from known.{name}" for name in TABLE_COLUMNS["events"])
    connection.execute(CREATE_SINGLE_EVENTS.format(columns=EVENT_COLUMNS))
    connection.execute("drop table possible_repeats")
    if not has_loaded_events:
        connection.execute(f"create or replace temp table {loaded_events_table} as from single_events limit 0")
        return "single_events"
    connection.execute(
        CREATE_LOADED_EVENTS.format(
            table=loaded_events_table, is_possible_repeat=is_possible_repeat_sql(row_hash_sql), same=same
        )
    )
    connection.execute(CREATE_NEW_EVENTS.format(known=loaded_events_table, same=same))
    return "new_events"


def _insert_and_count(connection: Connection, query: str, loaded_at: datetime) -> int:
    """Append the rows of a query to ``raw.events``, and return their number."""
    statement = f"insert into raw.events by name select *, $loaded_at as loaded_at from ({query})"
    return execute_and_fetch_number(connection, statement, {"loaded_at": loaded_at})
