"""The rows of a source as they are to be appended: read, mapped, and each once, in a temporary table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jobs.loading.attributes import AttributeRules, Attributes, choose_attributes, leave_out_repeated
from jobs.loading.known_rows import IDS, latest_row_rules
from jobs.loading.mapped_rows import mapped_selection
from jobs.loading.mapping import TABLE_COLUMNS
from jobs.loading.readable_rows import with_readable_rows
from jobs.loading.relations import FileRelation
from jobs.loading.sources import NoRowsError, SourceFiles
from jobs.loading.suspicions import decimal_id_notes, order_line_notes, session_notes
from jobs.loading.text_values import TIME_COLUMNS
from jobs.loading.time_formats import require_formats, unread_time_notes
from jobs.warehouse.connection import Connection, count_rows, literal


@dataclass(frozen=True)
class Arrivals:
    """The rows of a source that were read and mapped.

    Attributes
    ----------
    source : SourceFiles
    relation : str
        A temporary table with the mapped rows, each once.
    read_count, incoming_count : int
        The numbers of rows in the files, and in ``relation``.
    given_columns : frozenset of str
        The raw columns that the files or the map have.
    attributes : Attributes
        Which other columns of the files are kept, as members of the raw column ``attributes``.
    notes : tuple of str
        What the source's owner should know.
    unreadable_relation : str, optional
        A temporary table with the rows that can't be read; None if there are none.
    unreadable_count : int
    examples : tuple of str
        The first rows that can't be read, each with file, line and reason.
    appended_at : datetime, optional
        The time of loading that the rows have, if they are in the raw table already. Then ``relation`` is that table.
    """

    source: SourceFiles
    relation: str
    read_count: int
    incoming_count: int
    given_columns: frozenset[str]
    attributes: Attributes = field(default_factory=lambda: Attributes({}))
    notes: tuple[str, ...] = ()
    unreadable_relation: str | None = None
    unreadable_count: int = 0
    examples: tuple[str, ...] = ()
    appended_at: datetime | None = None


def read_source(
    connection: Connection,
    source: SourceFiles,
    variables: Mapping[str, Any],
    relation: str = "arrived_rows",
    *,
    attribute_rules: AttributeRules | None = None,
) -> Arrivals:
    """Read a source's files into a temporary table of mapped rows, each once.

    No transaction may be open: a file that DuckDB refuses at first is read again, without the rows that can't be read.

    Parameters
    ----------
    variables : mapping
        Values of the dbt vars, by which dbt's staging will read the rows.
    relation : str
        The name of the temporary table.
    attribute_rules : AttributeRules, optional
        What decides about attributes, beside the source itself.

    Raises
    ------
    UsageError
        If the files' format, encoding or header is not known, a column is missing, or a text of the command line is no
        SQL expression or no format of times.
    NextmartError
        If the files can't be read, hold no rows, or too many of a file's rows are unreadable.
    """
    require_formats(connection, source.time_formats)

    def read(opened: SourceFiles, files: FileRelation) -> Arrivals:
        return read_relation(connection, opened, files, variables, relation, attribute_rules)

    return with_readable_rows(connection, source, read)


def read_relation(
    connection: Connection,
    source: SourceFiles,
    files: FileRelation,
    variables: Mapping[str, Any],
    relation: str,
    attribute_rules: AttributeRules | None = None,
) -> Arrivals:
    """Read the relation of a source's files into a temporary table of mapped rows, each once.

    The rows that can't be read are put into another temporary table. The parameters are those of ``read_source``.

    Raises
    ------
    UsageError
        If a column is missing, or a text of the command line is no SQL expression.
    NoRowsError
        If there are no rows.
    duckdb.Error
        If DuckDB can't read the files.
    """
    attributes = choose_attributes(connection, source, files.types, attribute_rules)
    selection = mapped_selection(connection, source, files, attributes)
    connection.execute(f"create or replace temp table {relation} as {selection.sql}")
    read_count = count_rows(connection, relation)
    if read_count == 0:
        raise NoRowsError(f"{source.path} holds no rows{_condition_text(source)}; nothing was loaded")
    format_notes = _format_notes(connection, relation, TIME_COLUMNS[source.table]) if selection.has_formats else []
    connection.execute(f"create or replace temp view incoming as from {relation}")
    notes = decimal_id_notes(connection, selection.types) + format_notes
    if source.attributes is None and "attributes" not in selection.given_columns and attributes.columns:
        attributes = leave_out_repeated(connection, relation, IDS[source.table], attributes)
    connection.execute(_deduplication_sql(source.table, relation, variables))
    connection.execute(f"create or replace temp view incoming as from {relation}")
    notes += suspicion_notes(connection, source, selection.given_columns, variables)
    return Arrivals(
        source,
        relation,
        read_count,
        count_rows(connection, relation),
        selection.given_columns,
        attributes,
        tuple(f"{source.path}: {note}" for note in notes),
        _unreadable_rows(connection, source, files, f"{relation}_unreadable") if files.unreadable_count else None,
        files.unreadable_count,
        files.examples,
    )


def _unreadable_rows(connection: Connection, source: SourceFiles, files: FileRelation, relation: str) -> str:
    """Fill a temporary table with the rows of files that can't be read, and return the table's name."""
    connection.execute(
        f"create or replace temp table {relation} as "
        f"select {literal(source.table)} as table_name, file, line, raw_row, reason "
        f"from read_json({literal(str(files.unreadable_path))}, format = 'newline_delimited', "
        "columns = {file: 'VARCHAR', line: 'BIGINT', raw_row: 'VARCHAR', reason: 'VARCHAR'})"
    )
    return relation


def _format_notes(connection: Connection, relation: str, time_column: str) -> list[str]:
    """Return a warning about the times that have no ``--time-format``, and remove the flag that marks them."""
    unread = f"select count(*), min({time_column}) from {relation} where time_is_unread"
    count, example = connection.execute(unread).fetchall()[0]
    connection.execute(f"alter table {relation} drop column time_is_unread")
    if not count:
        return []
    return [
        f"warning: {time_column}: {count:,} times have no --time-format (or several formats read them differently), "
        f"such as '{example}'. The texts are loaded as they are."
    ]


def _condition_text(source: SourceFiles) -> str:
    """Return which condition rows have to meet, in words."""
    if source.preset and source.where:
        return f" that the preset {source.preset} keeps: {source.where}"
    return " that --where keeps" if source.where else ""


def suspicion_notes(
    connection: Connection, source: SourceFiles, given_columns: frozenset[str], variables: Mapping[str, Any]
) -> list[str]:
    """Return warnings about the rows in the temporary view ``incoming``."""
    notes = []
    time_column = TIME_COLUMNS[source.table]
    if time_column in given_columns and not source.time_formats:
        notes += unread_time_notes(connection, time_column, variables)
    if "event_id" in given_columns:
        notes += order_line_notes(connection, source, variables)
    if "source_session_id" in given_columns:
        notes += session_notes(connection, variables)
    return notes


def _deduplication_sql(table: str, relation: str, variables: Mapping[str, Any]) -> str:
    """Return the SQL that removes repeated rows from a temporary table.

    Each event stays once; each item and each visitor has one row.

    A file may have many rows of an item (a file of orders, for example); the latest row stays. The order of rows is
    total, so that the same row stays whenever the file is loaded.
    """
    if table == "events":
        return f"create or replace temp table {relation} as select distinct * from {relation}"
    other_columns = ", ".join(f"{column} nulls last" for column in TABLE_COLUMNS[table])
    rules = latest_row_rules(table, variables)
    return (
        f"create or replace temp table {relation} as select * from {relation} qualify row_number() over ("
        f"partition by {IDS[table]} order by {rules.stated_at} desc nulls last, {other_columns}) = 1"
    )
