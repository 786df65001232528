"""The query of a source's rows as rows of a raw table: every raw column, as text."""

from dataclasses import dataclass

from jobs.errors import NextmartError
from jobs.loading.attributes import Attributes, attributes_sql
from jobs.loading.expressions import require_one_expression
from jobs.loading.mapping import column_values, complete_texts, mapped_expressions
from jobs.loading.readable_rows import unreadable_text
from jobs.loading.relations import FileRelation
from jobs.loading.sources import SourceFiles
from jobs.loading.text_values import TIME_COLUMNS, formatted_time_sql, text_sql
from jobs.warehouse.connection import Connection, quoted


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
        raise type(error)(unreadable_text(source, files, error)) from error
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
