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
    WaitingFile,
    format_notes,
    require_rows,
    suspicion_notes,
    unreadable_rows,
)
from jobs.loading.file_listing import find_source_files
from jobs.loading.mapped_rows import mapped_query
from jobs.loading.mapping import TABLE_COLUMNS
from jobs.loading.readable_rows import read_readable_rows
from jobs.loading.relations import FileRelation
from jobs.loading.row_hashes import EVENT_COLUMNS, ID_HASH, ROW_HASH, VALUES_HASH, fill_suspect_hashes
from jobs.loading.sources import SourceFiles
from jobs.loading.suspicions import decimal_id_notes
from jobs.loading.text_values import TIME_COLUMNS
from jobs.loading.time_formats import require_valid_formats
from jobs.warehouse.connection import Connection, count_rows, literal
from jobs.warehouse.own_tables import is_own_table

DIRECT_BYTES: Final = 8 << 20
"""Files of at least so many bytes are appended directly. Smaller ones gain nothing by it."""
FEW_ROWS: Final = 0.05

IS_SUSPECT: Final = "{row_hash} in (select row_hash from suspect_hashes)"

SINGLE_EVENTS = """
    -- Each event among the suspects once, with the first file that has it
    create or replace temp table single_events as
    select min(file_number) as file_number, count(*) as row_count, {columns} from suspect_rows group by {columns}
"""
KNOWN_EVENTS = """
    create or replace temp table {table} as
    select single_events.* from single_events semi join (from raw.events where {is_suspect}) as known on {same}
"""
NEW_EVENTS = """
    create or replace temp table new_events as select * from single_events anti join {known} as known on {same}
"""
APPENDED_EVENTS = """
    create or replace temp view {relation} as
    select {columns} from raw.events where loaded_at = {loaded_at}::timestamptz
    union all select {columns} from {known}
"""


class FilesChangedError(NextmartError):
    """The rows of a file were others when the file was read the second time."""


def are_large_events(connection: Connection, table: str, sizes: Iterable[int]) -> bool:
    """Tell whether files are appended directly: large files of events, for a table of events that is no view.

    Parameters
    ----------
    table : str
        ``events``, ``items``, ``visitors`` or ``impressions``.
    sizes : iterable of int
        The sizes of the files, in bytes; empty for a table of an attached database.
    """
    sizes = list(sizes)
    if table != "events" or not sizes or sum(sizes) < DIRECT_BYTES or not is_own_table(connection, "raw", "events"):
        return False
    # a user's own table may have other types, of which equal values have other hashes than texts have
    types = {row[0]: row[1] for row in connection.execute("describe raw.events").fetchall()}
    return all(types.get(name) == "VARCHAR" for name in TABLE_COLUMNS["events"])


def sizes_of_files(connection: Connection, source: SourceFiles) -> list[int]:
    """Return the sizes of a source's files in bytes; none if the source is a table, or its files can't be found."""
    try:
        files = find_source_files(connection, source)
    except NextmartError:
        return []  # reading says what is wrong
    return [Path(file.path).stat().st_size for file in files if Path(file.path).is_file()]


def scan_source(connection: Connection, source: SourceFiles, relation: str, copies: ExitStack) -> Arrivals:
    """Read a hash of each row of a source of events; the rows stay in the files until ``append_directly``.

    No transaction may be open: a file that DuckDB refuses at first is read again, without the rows that can't be read.

    Parameters
    ----------
    relation : str
        What the names of temporary tables and views of the rows begin with.
    copies : ExitStack
        Keeps copies of files that DuckDB can't read as they are.

    Raises
    ------
    UsageError, NextmartError
        As ``read_source``.
    """
    require_valid_formats(connection, source.time_formats)

    def scan(opened: SourceFiles, files: FileRelation) -> Arrivals:
        return _scan_relation(connection, opened, files, relation)

    return read_readable_rows(connection, source, scan, copies)


def _scan_relation(connection: Connection, source: SourceFiles, files: FileRelation, relation: str) -> Arrivals:
    """Read a hash of each row of the relation of a source's files into a temporary table."""
    selection = mapped_query(connection, source, files)
    row_hash, suspects_sql = VALUES_HASH, _suspects_sql(selection.sql, VALUES_HASH)
    if "event_id" in selection.given_columns:
        # a condition over the files' own columns: DuckDB reads the other columns, and casts them, for suspects alone
        is_suspect = IS_SUSPECT.format(row_hash=f"hash({selection.texts['event_id']})")
        row_hash, suspects_sql = ID_HASH, selection.sql_where(is_suspect)
    hashes = f"{relation}_hashes"
    flag = ", time_is_unread" if selection.has_formats else ""
    connection.execute(
        f"create or replace temp table {hashes} as select {row_hash} as row_hash{flag} from ({selection.sql})"
    )
    read_count = count_rows(connection, hashes)
    require_rows(source, read_count)
    connection.execute(f"create or replace temp view incoming as {selection.sql}")
    notes = decimal_id_notes(connection, selection.types)
    if flag and count_rows(connection, f"{hashes} where time_is_unread"):
        notes += format_notes(connection, "incoming", TIME_COLUMNS[source.table])
    return Arrivals(
        source,
        relation,
        read_count,
        read_count,
        selection.given_columns,
        notes=tuple(f"{source.path}: {note}" for note in notes),
        unreadable_relation=unreadable_rows(connection, source, files, f"{relation}_unreadable"),
        unreadable_count=files.unreadable_count,
        examples=files.examples,
        waiting=(WaitingFile(selection.sql, row_hash, hashes, suspects_sql, files.is_parquet),),
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
        If a file has changed since ``scan_source``.
    duckdb.Error
        If DuckDB refuses a value that ``scan_source`` did not read.
    """
    with_known = count_rows(connection, "(from raw.events limit 1)") > 0
    row_hash, suspects = _find_possible_repeats(connection, arrivals, with_known=with_known)
    known = f"{arrivals.relation}_known"
    _tell_known_from_new(connection, arrivals.waiting, row_hash, with_known=with_known, known=known)
    where = f"where not ({IS_SUSPECT.format(row_hash=row_hash)})" if suspects else ""
    loaded = [
        _count_inserted(connection, f"select {EVENT_COLUMNS} from ({file.sql}) {where}", loaded_at)
        for file in arrivals.waiting
    ]
    found = sum(loaded) + _number_from(connection, "select coalesce(sum(row_count), 0) from single_events")
    if found != arrivals.read_count:
        raise FilesChangedError(f"{arrivals.source.path} has changed while it was read; nothing was loaded")
    _count_inserted(connection, f"select {EVENT_COLUMNS} from new_events order by file_number", loaded_at)
    by_file = "select file_number, count(*) from new_events group by file_number"
    for file_number, count in connection.execute(by_file).fetchall():
        loaded[file_number] += count
    relation = "raw.events"  # all of its rows are of these files; a table can be sampled fast
    if with_known:
        relation = f"{arrivals.relation}_appended"
        appended = {"relation": relation, "known": known, "loaded_at": literal(loaded_at.isoformat())}
        connection.execute(APPENDED_EVENTS.format(columns=EVENT_COLUMNS, **appended))
    connection.execute(f"create or replace temp view incoming as from {relation}")
    rows_by_id = "single_events" if row_hash == ID_HASH else "incoming"  # no other row shares its id with another
    notes = suspicion_notes(connection, arrivals.source, relation, arrivals.given_columns, dbt_vars, rows_by_id)
    return replace(
        arrivals,
        relation=relation,
        incoming_count=sum(loaded) + count_rows(connection, known),
        notes=tuple(f"{arrivals.source.path}: {note}" for note in notes),
        waiting=(),
        loaded_by_file=tuple(loaded),
        event_ids_relation=_fastest_ids_relation(arrivals.waiting),
    )


def _fastest_ids_relation(files: tuple[WaitingFile, ...]) -> str:
    """Return SQL of the relation from which different ids are counted fastest.

    The relation reads the files themselves if all are Parquet files, whose dictionaries of values DuckDB counts fast;
    otherwise it is ``incoming``.
    """
    if not all(file.is_parquet for file in files):
        return "incoming"
    union = " union all ".join(f"select visitor_id, user_id, item_id from ({file.sql})" for file in files)
    return f"({union})"


def _find_possible_repeats(connection: Connection, arrivals: Arrivals, *, with_known: bool) -> tuple[str, int]:
    """Fill ``suspect_hashes`` with the hashes of rows that may repeat others.

    Returns
    -------
    tuple of (str, int)
        SQL of the hash, and the number of suspect rows.
    """
    files = arrivals.waiting
    hashes = " union all ".join(f"select row_hash from {file.hashes}" for file in files)
    kinds = {file.row_hash for file in files}
    row_hash, suspects = ROW_HASH, 0
    if len(kinds) == 1:
        (row_hash,) = kinds
        suspects = fill_suspect_hashes(connection, f"({hashes})", row_hash, with_known=with_known)
        if suspects > FEW_ROWS * arrivals.read_count and row_hash == ID_HASH:
            row_hash = ROW_HASH
    if row_hash not in kinds:
        for file in files:
            connection.execute(
                f"create or replace temp table {file.hashes} as select {ROW_HASH} as row_hash from ({file.sql})"
            )
        suspects = fill_suspect_hashes(connection, f"({hashes})", ROW_HASH, with_known=with_known)
    for file in files:
        connection.execute(f"drop table {file.hashes}")
    return row_hash, suspects


def _tell_known_from_new(
    connection: Connection, files: tuple[WaitingFile, ...], row_hash: str, *, with_known: bool, known: str
) -> None:
    """Fill ``single_events`` with the suspects, each once, ``known`` with those in ``raw.events``, ``new_events``."""
    is_suspect = IS_SUSPECT.format(row_hash=row_hash)
    connection.execute(
        f"create or replace temp table suspect_rows as select 0 as file_number, {EVENT_COLUMNS} from raw.events limit 0"
    )
    if count_rows(connection, "suspect_hashes"):
        for number, file in enumerate(files):
            suspects = file.suspects_sql if row_hash == file.row_hash else _suspects_sql(file.sql, row_hash)
            connection.execute(
                f"insert into suspect_rows by name select {number} as file_number, {EVENT_COLUMNS} from ({suspects})"
            )
    same = " and ".join(f"single_events.{name} is not distinct from known.{name}" for name in TABLE_COLUMNS["events"])
    connection.execute(SINGLE_EVENTS.format(columns=EVENT_COLUMNS))
    connection.execute("drop table suspect_rows")
    if with_known:
        connection.execute(KNOWN_EVENTS.format(table=known, is_suspect=is_suspect, same=same))
    else:
        connection.execute(f"create or replace temp table {known} as from single_events limit 0")
    connection.execute(NEW_EVENTS.format(known=known, same=same))


def _suspects_sql(mapped_sql: str, row_hash: str) -> str:
    """Return a query of the mapped rows whose hashes are in the table ``suspect_hashes``.

    Parameters
    ----------
    mapped_sql : str
        Query of the mapped rows.
    row_hash : str
        SQL of a row's hash.
    """
    return f"select * from ({mapped_sql}) where {IS_SUSPECT.format(row_hash=row_hash)}"


def _count_inserted(connection: Connection, query: str, loaded_at: datetime) -> int:
    """Append the rows of a query to ``raw.events``, and return their number."""
    return _number_from(
        connection, f"insert into raw.events by name select *, $loaded_at as loaded_at from ({query})", loaded_at
    )


def _number_from(connection: Connection, sql: str, loaded_at: datetime | None = None) -> int:
    """Return the number that a statement gives."""
    row = connection.execute(sql, {"loaded_at": loaded_at} if loaded_at else None).fetchone()
    return int(row[0]) if row else 0
