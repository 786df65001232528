"""Reads a source's rows into a temporary table: mapped to the raw table's columns, and without repeated rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs.loading.attributes import AttributeChoice, AttributeHints, choose_attributes, drop_contradictory_attributes
from jobs.loading.known_rows import ID_COLUMN_OF_TABLE, latest_row_rules
from jobs.loading.mapped_rows import mapped_query
from jobs.loading.mapping import APPEND_ONLY_TABLES, TABLE_COLUMNS
from jobs.loading.readable_rows import read_readable_rows
from jobs.loading.relations import FileRelation
from jobs.loading.sources import LoadSource, NoRowsError
from jobs.loading.suspicions import decimal_id_notes, order_line_notes, session_notes
from jobs.loading.text_values import TIME_COLUMNS
from jobs.loading.time_formats import require_valid_formats, unread_time_notes
from jobs.warehouse.connection import Connection, count_rows, literal


@dataclass(frozen=True)
class DirectAppendFile:
    """A file whose events are appended to ``raw.events`` straight from the file, with hashes of its rows.

    Attributes
    ----------
    rows_sql : str
        Query of the file's rows, mapped to the columns of ``raw.events``.
    row_hash_sql : str
        SQL of a hash over the columns of ``raw.events``.
    hashes_table : str
        Name of a temporary table with the hash of each row, in the column ``row_hash_sql``.
    possible_repeats_sql : str
        Query of the mapped rows that may repeat others: their hashes are in the table ``possible_repeat_hashes``.
    is_parquet : bool
        Whether the files are Parquet files.
    """

    rows_sql: str
    row_hash_sql: str
    hashes_table: str
    possible_repeats_sql: str
    is_parquet: bool


@dataclass(frozen=True)
class Arrivals:
    """A source's rows in a temporary table, mapped to the raw table's columns, with counts and warnings about them.

    Attributes
    ----------
    source : LoadSource
    relation : str
        A table or view with the mapped rows, each once.
    read_count, deduplicated_count : int
        The numbers of rows in the files, and in ``relation``.
    given_columns : frozenset of str
        The raw columns that the files or the map have.
    attributes : AttributeChoice
        Which other columns of the files are kept, as members of the JSON in the raw column ``attributes``.
    notes : tuple of str
        Warnings about the rows, for the user.
    unreadable_relation : str, optional
        A temporary table with the rows that can't be read; None if there are none.
    unreadable_count : int
    unreadable_examples : tuple of str
        The first rows that can't be read, each with file, line and reason.
    direct_append_files : tuple of DirectAppendFile
        Files whose rows are not in ``relation`` yet, because they go from the files into the raw table.
    loaded_row_counts : tuple of int
        The number of new rows of each of those files, once they are in the raw table; empty for other arrivals.
    event_ids_relation : str
        A relation of ``visitor_id``, ``user_id`` and ``item_id`` from which ids are counted fastest; it may
        repeat rows.
    """

    source: LoadSource
    relation: str
    read_count: int
    deduplicated_count: int
    given_columns: frozenset[str]
    attributes: AttributeChoice = field(default_factory=lambda: AttributeChoice({}))
    notes: tuple[str, ...] = ()
    unreadable_relation: str | None = None
    unreadable_count: int = 0
    unreadable_examples: tuple[str, ...] = ()
    direct_append_files: tuple[DirectAppendFile, ...] = ()
    loaded_row_counts: tuple[int, ...] = ()
    event_ids_relation: str = "incoming"


def read_source(
    connection: Connection,
    source: LoadSource,
    dbt_vars: Mapping[str, Any],
    target_table: str = "arrived_rows",
    *,
    attribute_hints: AttributeHints | None = None,
) -> Arrivals:
    """Read a source's files into a temporary table of mapped rows, each once.

    No transaction may be open: a file that DuckDB refuses at first is read again, without the rows that can't be read.

    Parameters
    ----------
    dbt_vars : mapping
        Values of the dbt vars, by which dbt's staging will read the rows.
    target_table : str
        The name of the temporary table.
    attribute_hints : AttributeHints, optional
        Facts from outside the source that help to decide which columns become attributes.

    Raises
    ------
    UsageError
        If the files' format, encoding or header is not known, a column is missing, or a text of the command line is no
        SQL expression or no format of times.
    NextmartError
        If the files can't be read, hold no rows, or too many of a file's rows are unreadable.
    """
    require_valid_formats(connection, source.time_formats)

    def read_mapped(opened_source: LoadSource, file_relation: FileRelation) -> Arrivals:
        return read_mapped_rows(connection, opened_source, file_relation, dbt_vars, target_table, attribute_hints)

    return read_readable_rows(connection, source, read_mapped)


def read_mapped_rows(
    connection: Connection,
    source: LoadSource,
    file_relation: FileRelation,
    dbt_vars: Mapping[str, Any],
    target_table: str,
    attribute_hints: AttributeHints | None = None,
) -> Arrivals:
    """Fill a temporary table with a source's rows, mapped to the raw table's columns and without repeated rows.

    The unreadable rows are put into another temporary table. Most parameters are those of ``read_source``.

    Raises
    ------
    UsageError
        If a column is missing, or a text of the command line is no SQL expression.
    NoRowsError
        If there are no rows.
    duckdb.Error
        If DuckDB can't read the files.
    """
    attributes = choose_attributes(connection, source, file_relation.column_types, attribute_hints)
    selection = mapped_query(connection, source, file_relation, attributes)
    connection.execute(f"create or replace temp table {target_table} as {selection.sql}")
    read_count = count_rows(connection, target_table)
    require_rows(source, read_count)
    notes_on_formats = []
    if selection.has_time_formats:
        notes_on_formats = unread_format_notes(connection, target_table, TIME_COLUMNS[source.table])
        connection.execute(f"alter table {target_table} drop column time_is_unread")
    connection.execute(f"create or replace temp view incoming as from {target_table}")
    notes = decimal_id_notes(connection, selection.value_types) + notes_on_formats
    if source.attributes is None and "attributes" not in selection.given_columns and attributes.column_of_attribute:
        attributes = drop_contradictory_attributes(
            connection, target_table, ID_COLUMN_OF_TABLE[source.table], attributes
        )
    connection.execute(_deduplication_sql(source.table, target_table, dbt_vars))
    connection.execute(f"create or replace temp view incoming as from {target_table}")
    notes += suspicious_row_notes(connection, source, target_table, selection.given_columns, dbt_vars)
    return Arrivals(
        source,
        target_table,
        read_count,
        count_rows(connection, target_table),
        selection.given_columns,
        attributes,
        tuple(f"{source.path}: {note}" for note in notes),
        fill_unreadable_rows(connection, source, file_relation, f"{target_table}_unreadable"),
        file_relation.unreadable_count,
        file_relation.unreadable_examples,
    )


def require_rows(source: LoadSource, read_count: int) -> None:
    """Raise an error if a source has no rows.

    Raises
    ------
    NoRowsError
        If there are no rows.
    """
    if read_count == 0:
        raise NoRowsError(f"{source.path} holds no rows{_condition_text(source)}; nothing was loaded")


def fill_unreadable_rows(
    connection: Connection, source: LoadSource, file_relation: FileRelation, target_table: str
) -> str | None:
    """Fill a temporary table with the rows of files that can't be read; return its name, or None if there are none."""
    if not file_relation.unreadable_count:
        return None
    connection.execute(
        f"create or replace temp table {target_table} as "
        f"select {literal(source.table)} as table_name, file, line, raw_row, reason "
        f"from read_json({literal(str(file_relation.unreadable_path))}, format = 'newline_delimited', "
        "columns = {file: 'VARCHAR', line: 'BIGINT', raw_row: 'VARCHAR', reason: 'VARCHAR'})"
    )
    return target_table


def unread_format_notes(connection: Connection, relation: str, time_column: str) -> list[str]:
    """Return a warning about the times of a relation that have no ``--time-format``; ``time_is_unread`` marks them."""
    unread = f"select count(*), min({time_column}) from {relation} where time_is_unread"
    count, example = connection.execute(unread).fetchall()[0]
    if not count:
        return []
    return [
        f"warning: {time_column}: {count:,} times have no --time-format (or several formats read them differently), "
        f"such as '{example}'. The texts are loaded as they are."
    ]


def _condition_text(source: LoadSource) -> str:
    """Return words for the condition that rows have to meet, for the message that a source has no rows."""
    if source.preset_name and source.where_sql:
        return f" that the preset {source.preset_name} keeps: {source.where_sql}"
    return " that --where keeps" if source.where_sql else ""


def suspicious_row_notes(
    connection: Connection,
    source: LoadSource,
    table: str,
    given_columns: frozenset[str],
    dbt_vars: Mapping[str, Any],
    shared_id_relation: str = "incoming",
) -> list[str]:
    """Return warnings about incoming rows, which are in a table and also in the temporary view ``incoming``.

    Parameters
    ----------
    table : str
        Name of the table with the rows; of a large table a sample of times is read.
    dbt_vars : mapping
        Values of the dbt vars.
    shared_id_relation : str
        A relation with at least all rows that share their ``event_id`` with another row.
    """
    notes = []
    time_column = TIME_COLUMNS[source.table]
    if time_column in given_columns and not source.time_formats:
        notes += unread_time_notes(connection, table, time_column, dbt_vars)
    if "event_id" in given_columns:
        notes += order_line_notes(connection, source, dbt_vars, shared_id_relation)
    if "source_session_id" in given_columns:
        notes += session_notes(connection, dbt_vars)
    return notes


def _deduplication_sql(table: str, temp_table: str, dbt_vars: Mapping[str, Any]) -> str:
    """Return the SQL that removes repeated rows from a temporary table.

    Each event and each impression stays once; each item and each visitor has one row.

    A file may have many rows of an item (a file of orders, for example); the latest row stays. The order of rows is
    total, so that the same row stays whenever the file is loaded.
    """
    if table in APPEND_ONLY_TABLES:
        return f"create or replace temp table {temp_table} as select distinct * from {temp_table}"
    other_columns = ", ".join(f"{column} nulls last" for column in TABLE_COLUMNS[table])
    rules = latest_row_rules(table, dbt_vars)
    return (
        f"create or replace temp table {temp_table} as select * from {temp_table} qualify row_number() over ("
        f"partition by {ID_COLUMN_OF_TABLE[table]} order by {rules.updated_at_sql} desc nulls last, {other_columns}) "
        "= 1"
    )
