"""Rows of people's files as rows of the raw tables: each once, and only those that the tables lack."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from jobs.errors import NextmartError, redact
from jobs.loading.attributes import AttributeRules, Attributes, attributes_sql, choose_attributes, leave_out_repeated
from jobs.loading.expressions import require_one_expression
from jobs.loading.known_rows import IDS, latest_row_rules, new_rows_sql
from jobs.loading.mapping import TABLE_COLUMNS, column_values, complete_texts, mapped_expressions
from jobs.loading.preset_sources import open_source
from jobs.loading.relations import FileRelation, first_paragraph
from jobs.loading.sources import NoRowsError, SourceFiles
from jobs.loading.suspicions import decimal_id_notes, order_line_notes, session_notes
from jobs.loading.text_values import TIME_COLUMNS, formatted_time_sql, text_sql
from jobs.loading.time_formats import require_formats, unread_time_notes
from jobs.warehouse.connection import Connection, count_rows, literal, quoted

NEW_EVENTS = """
    -- A row of events is new if no row of raw.events has the same values
    insert into raw.events by name
    select incoming.*, $loaded_at as loaded_at
    from incoming
    anti join raw.events as known on {same}
"""

NEW_UNREADABLE_ROWS = """
    -- An unreadable row is new if raw.unreadable_rows does not have the same row of the same file
    insert into raw.unreadable_rows by name
    select incoming.*, $loaded_at as loaded_at
    from {arrivals} as incoming
    anti join raw.unreadable_rows as known
        on incoming.table_name = known.table_name
        and incoming.file = known.file
        and incoming.line = known.line
        and incoming.raw_row = known.raw_row
        and incoming.reason = known.reason
"""


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


def append_arrivals(
    connection: Connection, arrivals: Arrivals, variables: Mapping[str, Any], loaded_at: datetime
) -> dict[str, int]:
    """Append the new rows of a source to its raw table, and return the numbers of rows.

    The source's mapped rows are in the temporary view ``incoming`` afterwards.

    Parameters
    ----------
    variables : mapping
        Values of the dbt vars, by which dbt's staging will read the rows.
    loaded_at : datetime
        The time of loading that the new rows get.

    Returns
    -------
    ``read``, ``repeated`` (in the files), ``known`` (before) and ``loaded`` -> number of rows; ``unreadable`` too if
    some rows can't be read

    Raises
    ------
    NextmartError
        If the raw table is a view.
    """
    table = arrivals.source.table
    connection.execute(f"create or replace temp view incoming as from {arrivals.relation}")
    if arrivals.appended_at:
        count = arrivals.incoming_count
        return {"read": arrivals.read_count, "repeated": arrivals.read_count - count, "known": 0, "loaded": count}
    if table == "events":
        columns = TABLE_COLUMNS["events"]
        same = " and ".join(f"incoming.{column} is not distinct from known.{column}" for column in columns)
        insert = NEW_EVENTS.format(same=same)
    else:
        rules = latest_row_rules(table, variables)
        insert = new_rows_sql(rules, set(arrivals.given_columns), list(arrivals.attributes.columns))
    count_before = count_rows(connection, f"raw.{table}")
    try:
        connection.execute(insert, {"loaded_at": loaded_at})
        if table == "items" and "available" in arrivals.given_columns and "updated_at" not in arrivals.given_columns:
            # what the feed says of an item's availability now replaces what was said before the item's withdrawal
            connection.execute(f"delete from raw.withdrawn_items where item_id in (select {rules.key} from incoming)")
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise NextmartError(f"can't load into raw.{table}: is it a view of yours? {error}") from error
    loaded_count = count_rows(connection, f"raw.{table}") - count_before
    counts = {
        "read": arrivals.read_count,
        "repeated": arrivals.read_count - arrivals.incoming_count,
        "known": arrivals.incoming_count - loaded_count,
        "loaded": loaded_count,
    }
    if arrivals.unreadable_relation:
        insert_unreadable = NEW_UNREADABLE_ROWS.format(arrivals=arrivals.unreadable_relation)
        connection.execute(insert_unreadable, {"loaded_at": loaded_at})
        counts["unreadable"] = arrivals.unreadable_count
    return counts


def read_source(
    connection: Connection,
    source: SourceFiles,
    variables: Mapping[str, Any],
    relation: str = "arrived_rows",
    *,
    attribute_rules: AttributeRules | None = None,
    files: FileRelation | None = None,
) -> Arrivals:
    """Read a source's files into a temporary table of mapped rows, each once.

    No transaction may be open: a file that DuckDB refuses at first is read again, without the rows that can't be read.

    Parameters
    ----------
    variables : mapping
        Values of the dbt vars, by which dbt's staging will read the rows.
    relation : str
        The name of the temporary table.
    files : FileRelation, optional
        Rows that are read in place of the source's files.

    Raises
    ------
    UsageError
        If the files' format, encoding or header is not known, a column is missing, or a text of the command line is no
        SQL expression or no format of times.
    NextmartError
        If the files can't be read, hold no rows, or too many of a file's rows are unreadable.
    """
    require_formats(connection, source.time_formats)
    if files is not None:
        try:
            given_columns, attributes, notes = _fill(connection, source, files, relation, attribute_rules)
        except duckdb.Error as error:
            raise _unreadable_error(source, files, error) from error
        return _arrivals(connection, source, files, relation, given_columns, attributes, notes, variables)
    with TemporaryDirectory(prefix="nextmart-") as folder:
        opened, files = open_source(connection, source, Path(folder))
        try:
            given_columns, attributes, notes = _fill(connection, opened, files, relation, attribute_rules)
        except duckdb.InvalidInputException as error:
            if files.is_checked:
                raise _unreadable_error(source, files, error) from error
            try:
                with TemporaryDirectory(prefix="nextmart-") as checked_folder:
                    opened, files = open_source(connection, source, Path(checked_folder), check_lines=True)
                    given_columns, attributes, notes = _fill(connection, opened, files, relation, attribute_rules)
                    return _arrivals(connection, opened, files, relation, given_columns, attributes, notes, variables)
            except duckdb.Error as second_error:
                raise _unreadable_error(source, files, second_error) from second_error
        except duckdb.Error as error:
            raise _unreadable_error(source, files, error) from error
        return _arrivals(connection, opened, files, relation, given_columns, attributes, notes, variables)


@dataclass(frozen=True)
class Selection:
    """A query of mapped rows.

    Attributes
    ----------
    sql : str
        The query. If there are formats of times, it has a column ``time_is_unread`` too.
    types : nextmart's column -> DuckDB type of the value in the files
    given_columns : frozenset of str
        The raw columns that the files or the map have.
    has_formats : bool
        Whether formats of times are used.
    """

    sql: str
    types: dict[str, str]
    given_columns: frozenset[str]
    has_formats: bool


def _fill(
    connection: Connection,
    source: SourceFiles,
    files: FileRelation,
    relation: str,
    attribute_rules: AttributeRules | None,
) -> tuple[frozenset[str], Attributes, list[str]]:
    """Fill a temporary table with the mapped rows of a source's files.

    Returns
    -------
    tuple
        The raw columns that the files or the map have, the columns that are attributes, and notes on values that were
        written as other text.
    """
    attributes = choose_attributes(connection, source, files.types, attribute_rules)
    selection = mapped_selection(connection, source, files, attributes)
    connection.execute(f"create or replace temp table {relation} as {selection.sql}")
    notes = _format_notes(connection, relation, TIME_COLUMNS[source.table]) if selection.has_formats else []
    connection.execute(f"create or replace temp view incoming as from {relation}")
    return selection.given_columns, attributes, decimal_id_notes(connection, selection.types) + notes


def mapped_selection(
    connection: Connection, source: SourceFiles, files: FileRelation, attributes: Attributes | None = None
) -> Selection:
    """Return the query of the mapped rows of a source's files.

    Parameters
    ----------
    attributes : Attributes, optional
        The columns that are kept as attributes; None: no columns.

    Raises
    ------
    UsageError, NextmartError
        If a column is missing, or a text of the command line is no SQL expression.
    """
    values = column_values(source, files.types)
    time_column = TIME_COLUMNS[source.table]
    try:
        for option, text in mapped_expressions(source, files.types).items():
            require_one_expression(connection, option, text, allow_io=source.allow_sql_io)
    except NextmartError as error:
        raise type(error)(_unreadable_text(source, files, error)) from error
    selected = ", ".join(f"{value} as {column}" for column, value in values.items())
    described = connection.execute(f"describe select {selected} from {files.sql}").fetchall()
    value_types = {row[0]: row[1] for row in described}
    types_by_quoted_name = {quoted(name): type_name for name, type_name in files.types.items()}
    texts = {
        column: text_sql(column, value, value_types[column], types_by_quoted_name.get(value))
        for column, value in values.items()
    }
    attributes = attributes or Attributes({})
    if attributes.columns or "attributes" in texts:
        texts["attributes"] = attributes_sql(attributes, files.types, values.get("attributes"), value_types)
    formats = source.time_formats
    if time_column not in texts or value_types[time_column].startswith(("TIMESTAMP", "DATE")):
        formats = ()
    unread = "false"
    if formats:
        loaded_text, read_text = texts[time_column], formatted_time_sql(texts[time_column], formats)
        texts[time_column] = f"coalesce({read_text}, {loaded_text})"
        unread = f"trim({loaded_text}) <> '' and {read_text} is null"
    selected = ", ".join(f"{text} as {column}" for column, text in complete_texts(source.table, texts).items())
    where = f"where ({source.where}\n)" if source.where else ""
    flag = f", {unread} as time_is_unread" if formats else ""
    sql = f"select {selected}{flag} from {files.sql} {where}"
    return Selection(sql, value_types, frozenset(values), bool(formats))


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


def _unreadable_error(source: SourceFiles, files: FileRelation, error: duckdb.Error) -> NextmartError:
    return NextmartError(redact(_unreadable_text(source, files, error)))


def _unreadable_text(source: SourceFiles, files: FileRelation, error: Exception) -> str:
    columns = ", ".join(files.types)
    return (
        f"can't read {files.name or source.path}: {first_paragraph(error)}\nIts columns: {columns}. Nothing was loaded."
    )


def _arrivals(
    connection: Connection,
    source: SourceFiles,
    files: FileRelation,
    relation: str,
    given_columns: frozenset[str],
    attributes: Attributes,
    notes: list[str],
    variables: Mapping[str, Any],
) -> Arrivals:
    """Remove repeated rows from the temporary table, keep the unreadable rows in another one, and count both.

    Raises
    ------
    NoRowsError
        If there are no rows.
    """
    read_count = count_rows(connection, relation)
    if read_count == 0:
        raise NoRowsError(f"{source.path} holds no rows{_condition_text(source)}; nothing was loaded")
    if source.attributes is None and "attributes" not in given_columns and attributes.columns:
        attributes = leave_out_repeated(connection, relation, IDS[source.table], attributes)
    connection.execute(_deduplication_sql(source.table, relation, variables))
    connection.execute(f"create or replace temp view incoming as from {relation}")
    notes = notes + suspicion_notes(connection, source, given_columns, variables)
    unreadable_relation = None
    if files.unreadable_count:
        unreadable_relation = f"{relation}_unreadable"
        connection.execute(
            f"create or replace temp table {unreadable_relation} as "
            f"select {literal(source.table)} as table_name, file, line, raw_row, reason "
            f"from read_json({literal(str(files.unreadable_path))}, format = 'newline_delimited', "
            "columns = {file: 'VARCHAR', line: 'BIGINT', raw_row: 'VARCHAR', reason: 'VARCHAR'})"
        )
    return Arrivals(
        source,
        relation,
        read_count,
        count_rows(connection, relation),
        given_columns,
        attributes,
        tuple(f"{source.path}: {note}" for note in notes),
        unreadable_relation,
        files.unreadable_count,
        files.examples,
    )


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
