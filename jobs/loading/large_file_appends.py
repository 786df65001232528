"""Appends events of large files to ``raw.events`` straight from the files, without a temporary copy of the rows.

The rows of other sources go into temporary tables first, where they are compared with the rows of the raw tables. Here
the files are read twice instead. The first time, only a hash of each row is kept; the hashes tell which rows may repeat
others. The second time, all other rows go into the table at once. That is faster, because it costs many times more to
write rows than to read them.
"""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from jobs.errors import NextmartError
from jobs.loading.arrivals import (
    Arrivals,
    DirectAppendFile,
    create_unreadable_rows_table,
    missing_time_format_notes,
    require_rows,
    suspicious_row_notes,
)
from jobs.loading.file_listing import find_source_files
from jobs.loading.mapped_rows import mapped_query
from jobs.loading.mapping import TABLE_COLUMNS
from jobs.loading.readable_rows import read_readable_rows
from jobs.loading.relations import FileRelation
from jobs.loading.row_hashes import EVENT_COLUMNS, ID_HASH, ROW_HASH, VALUES_HASH, fill_possible_repeat_hashes
from jobs.loading.sources import LoadSource
from jobs.loading.suspicions import decimal_id_notes
from jobs.loading.time_formats import require_valid_formats
from jobs.loading.values_as_text import TIME_COLUMNS
from jobs.warehouse.connection import Connection, count_rows, literal
from jobs.warehouse.warehouse_tables import is_warehouse_table

MIN_DIRECT_APPEND_BYTES: Final = 8 << 20
"""The least size of files, in bytes, that are appended directly; smaller ones gain nothing by it."""
MAX_POSSIBLE_REPEAT_SHARE: Final = 0.05
"""If a larger share of the rows may repeat others by the hash of their id alone, a hash of the whole row is used."""

IS_POSSIBLE_REPEAT: Final = "{row_hash} in (select row_hash from possible_repeat_hashes)"

CREATE_SINGLE_EVENTS = """
    -- Each event among the possible repeats once, with the first file that has it
    create or replace temp table single_events as
    select min(file_number) as file_number, count(*) as row_count, {columns} from possible_repeats group by {columns}
"""
CREATE_LOADED_EVENTS = """
    create or replace temp table {table} as
    select single_events.* from single_events semi join (from raw.events where {is_possible_repeat}) as known on {same}
"""
CREATE_NEW_EVENTS = """
    create or replace temp table new_events as select * from single_events anti join {known} as known on {same}
"""
CREATE_APPENDED_EVENTS = """
    create or replace temp view {relation} as
    select {columns} from raw.events where loaded_at = {loaded_at}::timestamptz
    union all select {columns} from {known}
"""


class FilesChangedError(NextmartError):
    """A file had other rows when it was read the second time than when its rows were hashed."""


def can_append_directly(connection: Connection, table: str, file_sizes: Iterable[int]) -> bool:
    """Tell whether the rows of files can go straight into their raw table.

    Only the rows of large files of events can, and only if ``raw.events`` is nextmart's own table and not a user's.

    Parameters
    ----------
    table : str
        ``events``, ``items``, ``visitors`` or ``impressions``.
    file_sizes : iterable of int
        The sizes of the files, in bytes; empty for a table of an attached database.
    """
    file_sizes = list(file_sizes)
    if (
        table != "events"
        or not file_sizes
        or sum(file_sizes) < MIN_DIRECT_APPEND_BYTES
        or not is_warehouse_table(connection, "raw", "events")
    ):
        return False
    # a user's own table may have other types, and a value of another type has another hash than its text
    types = {row[0]: row[1] for row in connection.execute("describe raw.events").fetchall()}
    return all(types.get(name) == "VARCHAR" for name in TABLE_COLUMNS["events"])


def file_sizes_of_source(connection: Connection, source: LoadSource) -> list[int]:
    """Return the sizes of a source's files in bytes; an empty list if it is a table, or its files can't be found."""
    try:
        files = find_source_files(connection, source)
    except NextmartError:
        return []  # the error is reported when the files are read
    return [Path(file.path).stat().st_size for file in files if Path(file.path).is_file()]


def hash_source_rows(
    connection: Connection, source: LoadSource, temp_name_prefix: str, copies_stack: ExitStack
) -> Arrivals:
    """Read a hash of each row of a source of events; the rows stay in the files until ``append_directly``.

    No transaction may be open when this is called: files that DuckDB refuses are read a second time, without the rows
    that can't be read.

    Parameters
    ----------
    temp_name_prefix : str
        The beginning of the names of temporary tables and views for these rows.
    copies_stack : ExitStack
        Deletes, when it is closed, the copies of files that DuckDB can't read as they are.

    Raises
    ------
    UsageError, NextmartError
        As ``read_source``.
    """
    require_valid_formats(connection, source.time_formats)

    def hash_rows(source_with_preset: LoadSource, file_relation: FileRelation) -> Arrivals:
        return _hash_rows(connection, source_with_preset, file_relation, temp_name_prefix)

    return read_readable_rows(connection, source, hash_rows, copies_stack)


def _hash_rows(
    connection: Connection, source: LoadSource, file_relation: FileRelation, temp_name_prefix: str
) -> Arrivals:
    """Put a hash of each row of a source's files into a temporary table."""
    selection = mapped_query(connection, source, file_relation)
    row_hash, possible_repeats_sql = VALUES_HASH, _possible_repeats_sql(selection.sql, VALUES_HASH)
    if "event_id" in selection.given_columns:
        # the condition names columns of the files, so that DuckDB reads the other columns only of possible repeats
        is_possible_repeat = IS_POSSIBLE_REPEAT.format(row_hash=f"hash({selection.text_sql_of_column['event_id']})")
        row_hash, possible_repeats_sql = ID_HASH, selection.sql_with_condition(is_possible_repeat)
    hashes = f"{temp_name_prefix}_hashes"
    flag = ", time_is_unread" if selection.has_time_formats else ""
    connection.execute(
        f"create or replace temp table {hashes} as select {row_hash} as row_hash{flag} from ({selection.sql})"
    )
    read_count = count_rows(connection, hashes)
    require_rows(source, read_count)
    connection.execute(f"create or replace temp view incoming as {selection.sql}")
    notes = decimal_id_notes(connection, selection.mapped_value_types)
    if flag and count_rows(connection, f"{hashes} where time_is_unread"):
        notes += missing_time_format_notes(connection, "incoming", TIME_COLUMNS[source.table])
    return Arrivals(
        source,
        temp_name_prefix,
        read_count,
        read_count,
        selection.given_columns,
        notes=tuple(f"{source.path}: {note}" for note in notes),
        unreadable_relation=create_unreadable_rows_table(
            connection, source, file_relation, f"{temp_name_prefix}_unreadable"
        ),
        unreadable_count=file_relation.unreadable_row_count,
        unreadable_examples=file_relation.unreadable_row_examples,
        direct_append_files=(
            DirectAppendFile(selection.sql, row_hash, hashes, possible_repeats_sql, file_relation.is_parquet),
        ),
    )


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
    row_hash, possible_repeat_count = _find_possible_repeats(connection, arrivals, has_loaded_events=has_loaded_events)
    known = f"{arrivals.relation}_known"
    new_events = _split_loaded_from_new_rows(
        connection,
        arrivals.direct_append_files,
        row_hash,
        has_loaded_events=has_loaded_events,
        loaded_events_table=known,
    )
    where = f"where not ({IS_POSSIBLE_REPEAT.format(row_hash=row_hash)})" if possible_repeat_count else ""
    loaded = [
        _insert_and_count(connection, f"select {EVENT_COLUMNS} from ({file.rows_sql}) {where}", loaded_at)
        for file in arrivals.direct_append_files
    ]
    found = sum(loaded) + _single_number(connection, "select coalesce(sum(row_count), 0) from single_events")
    if found != arrivals.read_count:
        raise FilesChangedError(f"{arrivals.source.path} has changed while it was read; nothing was loaded")
    _insert_and_count(connection, f"select {EVENT_COLUMNS} from {new_events} order by file_number", loaded_at)
    by_file = f"select file_number, count(*) from {new_events} group by file_number"
    for file_number, count in connection.execute(by_file).fetchall():
        loaded[file_number] += count
    relation = "raw.events"  # the table had no rows before, so all of them are from these files
    if has_loaded_events:
        relation = f"{arrivals.relation}_appended"
        appended = {"relation": relation, "known": known, "loaded_at": literal(loaded_at.isoformat())}
        connection.execute(CREATE_APPENDED_EVENTS.format(columns=EVENT_COLUMNS, **appended))
    connection.execute(f"create or replace temp view incoming as from {relation}")
    rows_by_id = "single_events" if row_hash == ID_HASH else "incoming"  # both have all rows that share an event_id
    notes = suspicious_row_notes(connection, arrivals.source, relation, arrivals.given_columns, dbt_vars, rows_by_id)
    return replace(
        arrivals,
        relation=relation,
        count_without_repeats=sum(loaded) + count_rows(connection, known),
        notes=tuple(f"{arrivals.source.path}: {note}" for note in notes),
        direct_append_files=(),
        loaded_row_counts_of_files=tuple(loaded),
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
    row_hash, possible_repeat_count = ROW_HASH, 0
    if len(kinds) == 1:
        (row_hash,) = kinds
        possible_repeat_count = fill_possible_repeat_hashes(
            connection, f"({hashes})", row_hash, has_loaded_events=has_loaded_events
        )
        if possible_repeat_count > MAX_POSSIBLE_REPEAT_SHARE * arrivals.read_count and row_hash == ID_HASH:
            row_hash = ROW_HASH
    if row_hash not in kinds:
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
    return row_hash, possible_repeat_count


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
    The temporary table with the others, which are new
    """
    is_possible_repeat = IS_POSSIBLE_REPEAT.format(row_hash=row_hash_sql)
    connection.execute(
        f"create or replace temp table possible_repeats as select 0 as file_number, {EVENT_COLUMNS} from raw.events "
        "limit 0"
    )
    if count_rows(connection, "possible_repeat_hashes"):
        for number, file in enumerate(files):
            possible_repeats = (
                file.possible_repeats_sql
                if row_hash_sql == file.row_hash_sql
                else _possible_repeats_sql(file.rows_sql, row_hash_sql)
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
        CREATE_LOADED_EVENTS.format(table=loaded_events_table, is_possible_repeat=is_possible_repeat, same=same)
    )
    connection.execute(CREATE_NEW_EVENTS.format(known=loaded_events_table, same=same))
    return "new_events"


def _possible_repeats_sql(mapped_rows_sql: str, row_hash_sql: str) -> str:
    """Return a query of the mapped rows whose hashes are in the table ``possible_repeat_hashes``.

    Parameters
    ----------
    mapped_rows_sql : str
        Query of the mapped rows.
    row_hash_sql : str
        SQL of a row's hash.
    """
    return f"select * from ({mapped_rows_sql}) where {IS_POSSIBLE_REPEAT.format(row_hash=row_hash_sql)}"


def _insert_and_count(connection: Connection, query: str, loaded_at: datetime) -> int:
    """Append the rows of a query to ``raw.events``, and return their number."""
    return _single_number(
        connection, f"insert into raw.events by name select *, $loaded_at as loaded_at from ({query})", loaded_at
    )


def _single_number(connection: Connection, sql: str, loaded_at: datetime | None = None) -> int:
    """Execute a statement, and return the one number of its result; ``loaded_at`` is its parameter, if it has one."""
    row = connection.execute(sql, {"loaded_at": loaded_at} if loaded_at else None).fetchone()
    return int(row[0]) if row else 0
