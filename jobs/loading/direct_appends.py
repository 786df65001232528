"""Events of large files, appended to ``raw.events`` without a copy: rows that repeat others are told before that.

A load of other sources goes by way of temporary tables, which hold the rows before they are compared with known ones.
Here the files are read twice. The first time, only a hash of each row is kept, which says which rows may repeat others;
the second time, all other rows go into the table at once. To write rows costs many times more than to read them, and a
table from which rows were deleted in the same transaction is written twice.
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
    fill_unreadable_rows,
    require_rows,
    suspicious_row_notes,
    unread_format_notes,
)
from jobs.loading.file_listing import find_source_files
from jobs.loading.mapped_rows import mapped_query
from jobs.loading.mapping import TABLE_COLUMNS
from jobs.loading.readable_rows import read_readable_rows
from jobs.loading.relations import FileRelation
from jobs.loading.row_hashes import EVENT_COLUMNS, ID_HASH, ROW_HASH, VALUES_HASH, fill_possible_repeat_hashes
from jobs.loading.sources import LoadSource
from jobs.loading.suspicions import decimal_id_notes
from jobs.loading.text_values import TIME_COLUMNS
from jobs.loading.time_formats import require_valid_formats
from jobs.warehouse.connection import Connection, count_rows, literal
from jobs.warehouse.own_tables import is_own_table

MIN_DIRECT_APPEND_BYTES: Final = 8 << 20
"""Files of at least so many bytes are appended directly. Smaller ones gain nothing by it."""
MAX_POSSIBLE_REPEAT_SHARE: Final = 0.05

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
    """The rows of a file were others when the file was read the second time."""


def can_append_directly(connection: Connection, table: str, file_sizes: Iterable[int]) -> bool:
    """Tell whether files are appended directly: large files of events, for a table of events that is no view.

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
        or not is_own_table(connection, "raw", "events")
    ):
        return False
    # a user's own table may have other types, of which equal values have other hashes than texts have
    types = {row[0]: row[1] for row in connection.execute("describe raw.events").fetchall()}
    return all(types.get(name) == "VARCHAR" for name in TABLE_COLUMNS["events"])


def file_sizes_of_source(connection: Connection, source: LoadSource) -> list[int]:
    """Return the sizes of a source's files in bytes; none if the source is a table, or its files can't be found."""
    try:
        files = find_source_files(connection, source)
    except NextmartError:
        return []  # reading says what is wrong
    return [Path(file.path).stat().st_size for file in files if Path(file.path).is_file()]


def hash_source_rows(connection: Connection, source: LoadSource, name_prefix: str, copies_stack: ExitStack) -> Arrivals:
    """Read a hash of each row of a source of events; the rows stay in the files until ``append_directly``.

    No transaction may be open: a file that DuckDB refuses at first is read again, without the rows that can't be read.

    Parameters
    ----------
    name_prefix : str
        What the names of temporary tables and views of the rows begin with.
    copies_stack : ExitStack
        Keeps copies of files that DuckDB can't read as they are.

    Raises
    ------
    UsageError, NextmartError
        As ``read_source``.
    """
    require_valid_formats(connection, source.time_formats)

    def hash_relation(opened_source: LoadSource, file_relation: FileRelation) -> Arrivals:
        return _hash_rows(connection, opened_source, file_relation, name_prefix)

    return read_readable_rows(connection, source, hash_relation, copies_stack)


def _hash_rows(connection: Connection, source: LoadSource, files: FileRelation, name_prefix: str) -> Arrivals:
    """Read a hash of each row of the relation of a source's files into a temporary table."""
    selection = mapped_query(connection, source, files)
    row_hash, possible_repeats_sql = VALUES_HASH, _possible_repeats_sql(selection.sql, VALUES_HASH)
    if "event_id" in selection.given_columns:
        # a condition over the files' own columns: only of possible repeats, DuckDB reads and casts the other columns
        is_possible_repeat = IS_POSSIBLE_REPEAT.format(row_hash=f"hash({selection.text_sql_of_column['event_id']})")
        row_hash, possible_repeats_sql = ID_HASH, selection.sql_where(is_possible_repeat)
    hashes = f"{name_prefix}_hashes"
    flag = ", time_is_unread" if selection.has_time_formats else ""
    connection.execute(
        f"create or replace temp table {hashes} as select {row_hash} as row_hash{flag} from ({selection.sql})"
    )
    read_count = count_rows(connection, hashes)
    require_rows(source, read_count)
    connection.execute(f"create or replace temp view incoming as {selection.sql}")
    notes = decimal_id_notes(connection, selection.value_types)
    if flag and count_rows(connection, f"{hashes} where time_is_unread"):
        notes += unread_format_notes(connection, "incoming", TIME_COLUMNS[source.table])
    return Arrivals(
        source,
        name_prefix,
        read_count,
        read_count,
        selection.given_columns,
        notes=tuple(f"{source.path}: {note}" for note in notes),
        unreadable_relation=fill_unreadable_rows(connection, source, files, f"{name_prefix}_unreadable"),
        unreadable_count=files.unreadable_count,
        unreadable_examples=files.unreadable_examples,
        direct_append_files=(
            DirectAppendFile(selection.sql, row_hash, hashes, possible_repeats_sql, files.is_parquet),
        ),
    )


def append_directly(
    connection: Connection, arrivals: Arrivals, dbt_vars: Mapping[str, Any], loaded_at: datetime
) -> Arrivals:
    """Append the waiting rows of files to ``raw.events``, each once, unless the table has them.

    Parameters
    ----------
    dbt_vars : mapping
        Values of the dbt vars, by which dbt's staging will read the rows.
    loaded_at : datetime
        The time of loading that the new rows get.

    Returns
    -------
    The arrivals with numbers of rows, and with the notes that only all rows together allow. Their relation has all
    rows of the files, each once

    Raises
    ------
    FilesChangedError
        If a file has changed since ``hash_source_rows``.
    duckdb.Error
        If DuckDB refuses a value that ``hash_source_rows`` did not read.
    """
    with_known = count_rows(connection, "(from raw.events limit 1)") > 0
    row_hash, possible_repeat_count = _find_possible_repeats(connection, arrivals, has_loaded_events=with_known)
    known = f"{arrivals.relation}_known"
    _split_loaded_from_new(
        connection, arrivals.direct_append_files, row_hash, has_loaded_events=with_known, loaded_events_table=known
    )
    where = f"where not ({IS_POSSIBLE_REPEAT.format(row_hash=row_hash)})" if possible_repeat_count else ""
    loaded = [
        _insert_and_count(connection, f"select {EVENT_COLUMNS} from ({file.rows_sql}) {where}", loaded_at)
        for file in arrivals.direct_append_files
    ]
    found = sum(loaded) + _single_number(connection, "select coalesce(sum(row_count), 0) from single_events")
    if found != arrivals.read_count:
        raise FilesChangedError(f"{arrivals.source.path} has changed while it was read; nothing was loaded")
    _insert_and_count(connection, f"select {EVENT_COLUMNS} from new_events order by file_number", loaded_at)
    by_file = "select file_number, count(*) from new_events group by file_number"
    for file_number, count in connection.execute(by_file).fetchall():
        loaded[file_number] += count
    relation = "raw.events"  # all of its rows are of these files; a table can be sampled fast
    if with_known:
        relation = f"{arrivals.relation}_appended"
        appended = {"relation": relation, "known": known, "loaded_at": literal(loaded_at.isoformat())}
        connection.execute(CREATE_APPENDED_EVENTS.format(columns=EVENT_COLUMNS, **appended))
    connection.execute(f"create or replace temp view incoming as from {relation}")
    rows_by_id = "single_events" if row_hash == ID_HASH else "incoming"  # no other row shares its id with another
    notes = suspicious_row_notes(connection, arrivals.source, relation, arrivals.given_columns, dbt_vars, rows_by_id)
    return replace(
        arrivals,
        relation=relation,
        deduplicated_count=sum(loaded) + count_rows(connection, known),
        notes=tuple(f"{arrivals.source.path}: {note}" for note in notes),
        direct_append_files=(),
        loaded_row_counts=tuple(loaded),
        event_ids_relation=_fastest_ids_relation(arrivals.direct_append_files),
    )


def _fastest_ids_relation(files: tuple[DirectAppendFile, ...]) -> str:
    """Return SQL of the relation from which different ids are counted fastest.

    The relation reads the files themselves if all are Parquet files, whose dictionaries of values DuckDB counts fast;
    otherwise it is ``incoming``.
    """
    if not all(file.is_parquet for file in files):
        return "incoming"
    union = " union all ".join(f"select visitor_id, user_id, item_id from ({file.rows_sql})" for file in files)
    return f"({union})"


def _find_possible_repeats(connection: Connection, arrivals: Arrivals, *, has_loaded_events: bool) -> tuple[str, int]:
    """Fill ``possible_repeat_hashes`` with the hashes of rows that may repeat others.

    Returns
    -------
    tuple of (str, int)
        SQL of the hash, and the number of possible repeats.
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


def _split_loaded_from_new(
    connection: Connection,
    files: tuple[DirectAppendFile, ...],
    row_hash_sql: str,
    *,
    has_loaded_events: bool,
    loaded_events_table: str,
) -> None:
    """Split the possible repeats, each once, into those that ``raw.events`` has and new ones.

    ``single_events`` gets all of them, ``loaded_events_table`` those in ``raw.events``, and ``new_events`` the others.
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
    if has_loaded_events:
        connection.execute(
            CREATE_LOADED_EVENTS.format(table=loaded_events_table, is_possible_repeat=is_possible_repeat, same=same)
        )
    else:
        connection.execute(f"create or replace temp table {loaded_events_table} as from single_events limit 0")
    connection.execute(CREATE_NEW_EVENTS.format(known=loaded_events_table, same=same))


def _possible_repeats_sql(mapped_sql: str, row_hash_sql: str) -> str:
    """Return a query of the mapped rows whose hashes are in the table ``possible_repeat_hashes``.

    Parameters
    ----------
    mapped_sql : str
        Query of the mapped rows.
    row_hash_sql : str
        SQL of a row's hash.
    """
    return f"select * from ({mapped_sql}) where {IS_POSSIBLE_REPEAT.format(row_hash=row_hash_sql)}"


def _insert_and_count(connection: Connection, query: str, loaded_at: datetime) -> int:
    """Append the rows of a query to ``raw.events``, and return their number."""
    return _single_number(
        connection, f"insert into raw.events by name select *, $loaded_at as loaded_at from ({query})", loaded_at
    )


def _single_number(connection: Connection, sql: str, loaded_at: datetime | None = None) -> int:
    """Return the number that a statement gives."""
    row = connection.execute(sql, {"loaded_at": loaded_at} if loaded_at else None).fetchone()
    return int(row[0]) if row else 0
