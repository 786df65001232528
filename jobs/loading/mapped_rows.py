"""Builds the SQL query that maps a source's rows to rows of a raw table; every column of the result is text."""

from dataclasses import dataclass, replace

from jobs.errors import NextmartError
from jobs.loading.attributes import AttributeChoice, attributes_sql
from jobs.loading.expression_checks import has_window_function, require_one_expression
from jobs.loading.mapping import column_value_sql, raw_column_text_sql, user_expressions
from jobs.loading.readable_rows import unreadable_source_message
from jobs.loading.relations import FileRelation
from jobs.loading.sources import LoadSource
from jobs.loading.values_as_text import TIME_COLUMNS, raw_text_sql, time_read_by_formats_sql
from jobs.warehouse.connection import Connection, quoted_name


@dataclass(frozen=True)
class MappedQuery:
    """A query that maps a source's rows to rows of a raw table, with facts about the query.

    Attributes
    ----------
    selected_sql : str
        SQL of the query's columns. If the source has ``time_formats``, there is a boolean column ``time_is_unread``
        too.
    relation_sql : str
        SQL of the rows of the files.
    row_condition, result_condition : str, optional
        SQL conditions over the files' columns, which choose the rows of the query. Window functions in
        ``selected_sql`` see all rows that meet ``row_condition``.
    has_window_functions : bool
        Whether ``selected_sql`` has window functions, whose values depend on other rows.
    text_sql_of_column : raw column -> SQL expression over the files' columns, which returns the column's text
    mapped_value_types : raw column -> DuckDB type of the mapped value, before it becomes text
    given_columns : frozenset of str
        The raw columns that the files or the map have.
    has_time_formats : bool
        Whether times are read by the source's ``time_formats``.
    """

    selected_sql: str
    relation_sql: str
    row_condition: str | None
    result_condition: str | None
    has_window_functions: bool
    text_sql_of_column: dict[str, str]
    mapped_value_types: dict[str, str]
    given_columns: frozenset[str]
    has_time_formats: bool

    @property
    def sql(self) -> str:
        """The query."""
        where = f" where {self.row_condition}" if self.row_condition else ""
        if not self.result_condition:
            return f"select {self.selected_sql} from {self.relation_sql}{where}"
        # a condition behind WHERE would hide rows from the window functions
        return (
            f"select * exclude (is_kept) from (select {self.selected_sql}, {self.result_condition} as is_kept "
            f"from {self.relation_sql}{where}) where is_kept"
        )

    def sql_with_condition(self, condition: str) -> str:
        """Return the query with a further condition on its rows, which is SQL over the files' columns."""
        before = self.result_condition if self.has_window_functions else self.row_condition
        both = " and ".join(filter(None, (before, f"({condition})")))
        if self.has_window_functions:
            return replace(self, result_condition=both).sql
        return replace(self, row_condition=both).sql


def mapped_query(
    connection: Connection,
    source: LoadSource,
    file_relation: FileRelation,
    attribute_choice: AttributeChoice | None = None,
) -> MappedQuery:
    """Return the query that turns the rows of a source's files into rows of its raw table.

    Parameters
    ----------
    attribute_choice : AttributeChoice, optional
        Which columns are kept as attributes; None: no columns.

    Raises
    ------
    UsageError, NextmartError
        If a column is missing, or the user's text for an option is no SQL expression.
    """
    values = column_value_sql(source, file_relation.column_types)
    time_column = TIME_COLUMNS[source.table]
    try:
        expressions = [
            require_one_expression(connection, option, text, allow_io=source.allow_sql_io)
            for option, text in user_expressions(source, file_relation.column_types).items()
        ]
    except NextmartError as error:
        raise type(error)(unreadable_source_message(source, file_relation, error)) from error
    selected = ", ".join(f"{value} as {column}" for column, value in values.items())
    described = connection.execute(f"describe select {selected} from {file_relation.sql}").fetchall()
    mapped_value_types = {row[0]: row[1] for row in described}
    types_by_quoted_name = {quoted_name(name): type_name for name, type_name in file_relation.column_types.items()}
    texts = {
        column: raw_text_sql(column, value, mapped_value_types[column], types_by_quoted_name.get(value))
        for column, value in values.items()
    }
    attribute_choice = attribute_choice or AttributeChoice({})
    if attribute_choice.column_of_attribute or "attributes" in texts:
        texts["attributes"] = attributes_sql(
            attribute_choice, file_relation.column_types, values.get("attributes"), mapped_value_types
        )
    formats = source.time_formats
    if time_column not in texts or mapped_value_types[time_column].startswith(("TIMESTAMP", "DATE")):
        formats = ()
    time_is_unread_sql = "false"
    if formats:
        loaded_text, read_text = texts[time_column], time_read_by_formats_sql(texts[time_column], formats)
        texts[time_column] = f"coalesce({read_text}, {loaded_text})"
        time_is_unread_sql = f"trim({loaded_text}) <> '' and {read_text} is null"
    selected = ", ".join(f"{text} as {column}" for column, text in raw_column_text_sql(source.table, texts).items())
    flag = f", {time_is_unread_sql} as time_is_unread" if formats else ""
    has_window_functions = any(map(has_window_function, expressions))
    condition = f"({source.where_sql}\n)" if source.where_sql else None
    # window functions of a preset give all rows of an order the values that stand only in the order's first row
    after_windows = has_window_functions and source.preset_name is not None
    return MappedQuery(
        selected + flag,
        file_relation.sql,
        None if after_windows else condition,
        condition if after_windows else None,
        has_window_functions,
        texts,
        mapped_value_types,
        frozenset(values),
        bool(formats),
    )
