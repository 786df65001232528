"""Reads a hash of each event of large files, whose rows ``large_file_appends`` appends to ``raw.events`` afterwards."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from jobs.errors import NextmartError
from jobs.loading.arrivals import (
    Arrivals,
    DirectAppendFile,
    create_unreadable_rows_table,
    missing_time_format_notes,
    require_rows,
)
from jobs.loading.file_listing import find_source_files
from jobs.loading.mapped_rows import mapped_query
from jobs.loading.mapping import TABLE_COLUMNS
from jobs.loading.readable_rows import read_readable_rows
from jobs.loading.relations import FileRelation
from jobs.loading.row_hashes import ID_HASH, VALUES_HASH, is_possible_repeat_sql, possible_repeats_sql
from jobs.loading.sources import LoadSource
from jobs.loading.suspicions import decimal_id_notes
from jobs.loading.time_formats import require_valid_formats
from jobs.loading.values_as_text import TIME_COLUMNS
from jobs.warehouse.connection import Connection, count_rows
from jobs.warehouse.warehouse_tables import is_warehouse_table

MIN_DIRECT_APPEND_BYTES: Final = 8 << 20
"""The least size of files, in bytes, that are appended directly; smaller ones gain nothing by it."""


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
    """Read a hash of each row of a source of events; the rows stay in the files until ``append_directly`` reads them.

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
    row_hash_sql, repeats_sql = VALUES_HASH, possible_repeats_sql(selection.sql, VALUES_HASH)
    if "event_id" in selection.given_columns:
        # the condition names columns of the files, so that DuckDB reads the other columns only of possible repeats
        id_hash_sql = f"hash({selection.text_sql_of_column['event_id']})"
        row_hash_sql, repeats_sql = ID_HASH, selection.sql_with_condition(is_possible_repeat_sql(id_hash_sql))
    hashes = f"{temp_name_prefix}_hashes"
    flag = ", time_is_unread" if selection.has_time_formats else ""
    connection.execute(
        f"create or replace temp table {hashes} as select {row_hash_sql} as row_hash{flag} from ({selection.sql})"
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
            DirectAppendFile(selection.sql, row_hash_sql, hashes, repeats_sql, file_relation.is_parquet),
        ),
    )
