"""Reads a source's rows into a temporary table, maps them to the raw table's columns, and removes repeated rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs.loading.attributes import AttributeChoice, AttributeHints, choose_attributes, drop_attributes_if_contradictory
from jobs.loading.item_and_visitor_rows import ID_COLUMN_OF_TABLE, latest_row_rules
from jobs.loading.mapped_rows import mapped_query
from jobs.loading.mapping import APPEND_ONLY_TABLES, TABLE_COLUMNS
from jobs.loading.readable_rows import read_readable_rows
from jobs.loading.relations import FileRelation
from jobs.loading.sources import LoadSource, NoRowsError
from jobs.loading.suspicions import decimal_id_notes, notes_on_split_sessions, order_line_notes
from jobs.loading.time_formats import require_valid_formats, unread_time_notes
from jobs.loading.values_as_text import TIME_COLUMNS
from jobs.warehouse.connection import Connection, count_rows, literal


@dataclass(frozen=True)
class DirectAppendFile:
    """A file, or all files of a source, whose events go into ``raw.events`` without a temporary copy.

    Attributes
    ----------
    rows_sql : str
        Query of the rows in the files, mapped to the columns of ``raw.events``.
    row_hash_sql : str
        SQL expression of a hash over the columns of ``raw.events``.
    hashes_table : str
        Name of a temporary table with the hash of each row, in the column ``row_hash``.
    possible_repeats_sql : str
        Query of the mapped rows that may repeat other rows, because their hashes are in the table
        ``possible_repeat_hashes``.
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
    """The mapped rows of a source, which wait in a temporary table to be appended, with counts and warnings.

    Attributes
    ----------
    source : LoadSource
    relation : str
        A table or view with the mapped rows, each once.
    read_count, count_without_repeats : int
        The number of rows in the files, and the number in ``relation``, which has no repeated rows.
    given_columns : frozenset of str
        The raw columns that the files or the map have.
    attribute_choice : AttributeChoice
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
    loaded_row_counts_of_files : tuple of int
        The number of new rows of each of those files, once the rows are in the raw table; empty for other arrivals.
    visitor_and_item_ids_relation : str
        A relation with ``visitor_id``, ``user_id`` and ``item_id``, in which distinct ids are counted fastest; it may
        repeat rows.
    """

    source: LoadSource
    relation: str
    read_count: int
    count_without_repeats: int
    given_columns: frozenset[str]
    attribute_choice: AttributeChoice = field(default_factory=lambda: AttributeChoice({}))
    notes: tuple[str, ...] = ()
    unreadable_relation: str | None = None
    unreadable_count: int = 0
    unreadable_examples: tuple[str, ...] = ()
    direct_append_files: tuple[DirectAppendFile, ...] = ()
    loaded_row_counts_of_files: tuple[int, ...] = ()
    visitor_and_item_ids_relation: str = "incoming"


def read_source(
    connection: Connection,
    source: LoadSource,
    dbt_vars: Mapping[str, Any],
    temp_table: str = "arrived_rows",
    *,
    attribute_hints: AttributeHints | None = None,
) -> Arrivals:
    """Read a source's files into a temporary table of mapped rows, without repeated rows.

    No transaction may be open when this is called: files that DuckDB refuses are read a second time, without the rows
    that can't be read.

    Parameters
    ----------
    dbt_vars : mapping
        Values of the dbt vars, by which dbt's staging will read the rows.
    temp_table : str
        The name of the temporary table.
    attribute_hints : AttributeHints, optional
        Facts from outside the source that help to decide which columns become attributes.

    Raises
    ------
    UsageError
        If the files' format, encoding or header is not known, a column is missing, or the user's text for an option is
        no SQL expression or no time format.
    NextmartError
        If the files can't be read, hold no rows, or too many of a file's rows are unreadable.
    """
    require_valid_formats(connection, source.time_formats)

    def read_relation(source_with_preset: LoadSource, file_relation: FileRelation) -> Arrivals:
        return read_mapped_rows(connection, source_with_preset, file_relation, dbt_vars, temp_table, attribute_hints)

    return read_readable_rows(connection, source, read_relation)


def read_mapped_rows(
    connection: Connection,
    source: LoadSource,
    file_relation: FileRelation,
    dbt_vars: Mapping[str, Any],
    temp_table: str,
    attribute_hints: AttributeHints | None = None,
) -> Arrivals:
    """Fill a temporary table with a source's rows, mapped to the raw table's columns and without repeated rows.

    The unreadable rows are put into another temporary table. Most parameters are those of ``read_source``.

    Raises
    ------
    UsageError
        If a column is missing, or the user's text for an option is no SQL expression.
    NoRowsError
        If there are no rows.
    duckdb.Error
        If DuckDB can't read the files.
    """
    attribute_choice = choose_attributes(connection, source, file_relation.column_types, attribute_hints)
    selection = mapped_query(connection, source, file_relation, attribute_choice)
    connection.execute(f"create or replace temp table {temp_table} as {selection.sql}")
    read_count = count_rows(connection, temp_table)
    require_rows(source, read_count)
    notes_on_formats = []
    if selection.has_time_formats:
        notes_on_formats = missing_time_format_notes(connection, temp_table, TIME_COLUMNS[source.table])
        connection.execute(f"alter table {temp_table} drop column time_is_unread")
    connection.execute(f"create or replace temp view incoming as from {temp_table}")
    notes = decimal_id_notes(connection, selection.mapped_value_types) + notes_on_formats
    if (
        source.attributes is None
        and "attributes" not in selection.given_columns
        and attribute_choice.column_of_attribute
    ):
        attribute_choice = drop_attributes_if_contradictory(
            connection, temp_table, ID_COLUMN_OF_TABLE[source.table], attribute_choice
        )
    connection.execute(_deduplication_sql(source.table, temp_table, dbt_vars))
    connection.execute(f"create or replace temp view incoming as from {temp_table}")
    notes += suspicious_row_notes(connection, source, temp_table, selection.given_columns, dbt_vars)
    return Arrivals(
        source,
        temp_table,
        read_count,
        count_rows(connection, temp_table),
        selection.given_columns,
        attribute_choice,
        tuple(f"{source.path}: {note}" for note in notes),
        create_unreadable_rows_table(connection, source, file_relation, f"{temp_table}_unreadable"),
        file_relation.unreadable_row_count,
        file_relation.unreadable_row_examples,
    )


def require_rows(source: LoadSource, read_count: int) -> None:
    """Raise an error if a source has no rows.

    Raises
    ------
    NoRowsError
        If there are no rows.
    """
    if read_count == 0:
        raise NoRowsError(f"{source.path} holds no rows{_condition_phrase(source)}; nothing was loaded")


def create_unreadable_rows_table(
    connection: Connection, source: LoadSource, file_relation: FileRelation, temp_table: str
) -> str | None:
    """Put the rows that can't be read into a temporary table; return its name, or None if all rows can be read."""
    if not file_relation.unreadable_row_count:
        return None
    connection.execute(
        f"create or replace temp table {temp_table} as "
        f"select {literal(source.table)} as table_name, file, line, raw_row, reason "
        f"from read_json({literal(str(file_relation.unreadable_rows_path))}, format = 'newline_delimited', "
        "columns = {file: 'VARCHAR', line: 'BIGINT', raw_row: 'VARCHAR', reason: 'VARCHAR'})"
    )
    return temp_table


def missing_time_format_notes(connection: Connection, relation: str, time_column: str) -> list[str]:
    """Return a warning about the rows of a relation whose column ``time_is_unread`` is true.

    Their times can't be read by any ``--time-format``, or several formats read them as different times.
    """
    unread = f"select count(*), min({time_column}) from {relation} where time_is_unread"
    count, example = connection.execute(unread).fetchall()[0]
    if not count:
        return []
    return [
        f"warning: {time_column}: {count:,} times have no --time-format (or several formats read them differently), "
        f"such as '{example}'. The texts are loaded as they are."
    ]


def _condition_phrase(source: LoadSource) -> str:
    """Return the words for a source's condition with which the message ends that a source has no rows."""
    if source.preset_name and source.where_sql:
        return f" that the preset {source.preset_name} keeps: {source.where_sql}"
    return " that --where keeps" if source.where_sql else ""


def suspicious_row_notes(
    connection: Connection,
    source: LoadSource,
    incoming_table: str,
    given_columns: frozenset[str],
    dbt_vars: Mapping[str, Any],
    shared_event_id_relation: str = "incoming",
) -> list[str]:
    """Return warnings about suspicious rows among the incoming rows, which the temporary view ``incoming`` holds.

    Parameters
    ----------
    incoming_table : str
        Name of the table or view that ``incoming`` reads. If it is a large table, only a sample of its times is read.
    dbt_vars : mapping
        Values of the dbt vars.
    shared_event_id_relation : str
        A relation that has at least all rows that share their ``event_id`` with another row.
    """
    notes = []
    time_column = TIME_COLUMNS[source.table]
    if time_column in given_columns and not source.time_formats:
        notes += unread_time_notes(connection, incoming_table, time_column, dbt_vars)
    if "event_id" in given_columns:
        notes += order_line_notes(connection, source, dbt_vars, shared_event_id_relation)
    if "source_session_id" in given_columns:
        notes += notes_on_split_sessions(connection, dbt_vars)
    return notes


def _deduplication_sql(table: str, temp_table: str, dbt_vars: Mapping[str, Any]) -> str:
    """Return the SQL that removes repeated rows from a temporary table.

    Each event and each impression stays once. Of each item and each visitor, one row stays: the latest. A file may have
    many rows of an item; a file of orders, for example. All columns take part in the order of the rows, so that the
    same row stays whenever the file is loaded. Rows without an id are rejected later, so they all stay, each once.
    """
    if table in APPEND_ONLY_TABLES:
        return f"create or replace temp table {temp_table} as select distinct * from {temp_table}"
    other_columns = ", ".join(f"{column} nulls last" for column in TABLE_COLUMNS[table])
    rules = latest_row_rules(table, dbt_vars)
    # a row without an id counts by the JSON of all its columns, which is no id of another row
    id_or_row = f"coalesce(nullif({rules.id_sql}, ''), json_array({', '.join(TABLE_COLUMNS[table])})::varchar)"
    return (
        f"create or replace temp table {temp_table} as select * from {temp_table} qualify row_number() over ("
        f"partition by {id_or_row} order by {rules.updated_at_sql} desc nulls last, {other_columns}) = 1"
    )
