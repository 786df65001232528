"""Maps the columns of users' files to the columns of the raw tables."""

from collections.abc import Iterable, Mapping

from jobs.errors import UsageError, nearest_name_hint
from jobs.loading.sources import LoadSource
from jobs.warehouse.columns import RAW_EVENTS, RAW_IMPRESSIONS, RAW_ITEMS, RAW_VISITORS
from jobs.warehouse.connection import quoted_name

TABLE_COLUMNS = {
    "events": [name for name in RAW_EVENTS if name != "loaded_at"],
    "items": [name for name in RAW_ITEMS if name != "loaded_at"],
    "visitors": [name for name in RAW_VISITORS if name != "loaded_at"],
    "impressions": [name for name in RAW_IMPRESSIONS if name != "loaded_at"],
}
REQUIRED_COLUMNS = {
    "events": ("visitor_id", "item_id", "event_at"),
    "items": ("item_id",),
    "visitors": ("visitor_id",),
    "impressions": ("visitor_id", "item_id", "shown_at"),
}
APPEND_ONLY_TABLES = ("events", "impressions")
"""Raw tables whose rows record what happened: a loaded row is never changed, and an equal row is not loaded again."""


def parse_maps(map_arguments: Iterable[str]) -> dict[str, dict[str, str]]:
    """Parse ``--map`` arguments of the form ``[events.|items.|visitors.|impressions.]our_column=their_column_or_SQL``.

    Returns
    -------
    table -> raw column -> the files' column, or SQL over the files' columns; a table without a map may be missing

    Raises
    ------
    UsageError
        If no raw table has a column of an argument, or an argument has no ``=``.
    """
    column_maps: dict[str, dict[str, str]] = {"events": {}, "items": {}}
    for text in map_arguments:
        left_side, equals, right_side = text.partition("=")
        table, dot, column = left_side.strip().rpartition(".")
        tables = [table] if dot else [name for name, columns in TABLE_COLUMNS.items() if column in columns]
        if not equals or not right_side.strip():
            raise UsageError(f"--map {text}: write our_column=their_column")
        if not tables or tables[0] not in TABLE_COLUMNS or column not in TABLE_COLUMNS[tables[0]]:
            all_columns = {name for columns in TABLE_COLUMNS.values() for name in columns}
            known = TABLE_COLUMNS.get(tables[0], all_columns) if tables else all_columns
            raise UsageError(
                f"--map {text}: nextmart has no column '{left_side.strip()}'; {nearest_name_hint(column, known)}"
            )
        for name in tables:
            column_maps.setdefault(name, {})[column] = right_side.strip()
    return column_maps


def column_value_sql(source: LoadSource, column_names: Iterable[str]) -> dict[str, str]:
    """Return the SQL of each raw column's value; raw columns that neither the files nor the map have are left out.

    Parameters
    ----------
    column_names : iterable of str
        The names of the files' columns.

    Returns
    -------
    raw column -> a quoted column of the files, or the expression of ``--map``; in the raw table's order

    Raises
    ------
    UsageError
        If a required column is neither in the files nor in the map.
    """
    file_columns = {name.lower(): name for name in column_names}
    values = {}
    for column in TABLE_COLUMNS[source.table]:
        file_column = source.column_map.get(column, column)
        if file_column.lower() in file_columns:
            values[column] = quoted_name(file_columns[file_column.lower()])
        elif column in source.column_map:
            values[column] = f"({file_column}\n)"  # the line feed ends an SQL comment at the end of the expression
        elif column in REQUIRED_COLUMNS[source.table]:
            raise UsageError(_missing_column_message(column, source, file_columns.values()))
    return values


def user_expressions(source: LoadSource, column_names: Iterable[str]) -> dict[str, str]:
    """Return a source's SQL expressions, by options such as ``--map price=`` and ``--where-events``.

    A ``--map`` whose right side is a column of the files is left out, even if SQL would need quotes for the column.
    """
    file_columns = {name.lower() for name in column_names}
    expressions = {
        f"--map {column}=": right_side
        for column, right_side in source.column_map.items()
        if right_side.lower() not in file_columns
    }
    return expressions | ({f"--where-{source.table} ": source.where_sql} if source.where_sql else {})


def raw_column_text_sql(table: str, text_sql_of_column: Mapping[str, str]) -> dict[str, str]:
    """Return the SQL of the text of every column of a raw table; columns without a value are null.

    An event without ``event_id``, and an impression without ``impression_id``, gets a hash of its row. An event without
    ``event_type`` is a ``view``.

    Parameters
    ----------
    text_sql_of_column : raw column -> SQL of its text, for the columns that the files or the map have
    """
    all_texts = {column: text_sql_of_column.get(column, "cast(null as varchar)") for column in TABLE_COLUMNS[table]}
    own_id = {"events": "event_id", "impressions": "impression_id"}.get(table)
    if own_id and own_id not in text_sql_of_column:
        # the id is a hash of the row's values, so that equal rows of different files have equal ids
        framed_values = (
            f"coalesce(length({text})::varchar || ':' || {text}, '-')"
            for name, text in all_texts.items()
            if name not in (own_id, "user_agent")  # rows that differ only in user_agent are the same event
        )
        all_texts[own_id] = f"md5(concat({', '.join(framed_values)}))"
    if table == "events" and "event_type" not in text_sql_of_column:
        all_texts["event_type"] = "'view'"
    return all_texts


def _missing_column_message(column: str, source: LoadSource, file_columns: Iterable[str]) -> str:
    """Return the error message that neither the files nor the map have a required column."""
    required = REQUIRED_COLUMNS[source.table]
    optional = [name for name in TABLE_COLUMNS[source.table] if name not in required]
    return (
        f"{source.path} has no column {column}.\n"
        f"It has: {', '.join(file_columns)}.\n"
        f"{source.table} need {', '.join(required)}; they may have {', '.join(optional)}.\n"
        f"Say which one it is: --map {source.table}.{column}=THEIR_COLUMN (or SQL over their columns)."
    )
