"""SQL that turns values of files into the texts of raw tables: decimal ids, lists, and times of given formats."""

import re

from jobs.warehouse.connection import literal

ID_COLUMNS = ("event_id", "impression_id", "visitor_id", "user_id", "item_id", "source_session_id")
TIME_COLUMNS = {"events": "event_at", "items": "updated_at", "visitors": "updated_at", "impressions": "shown_at"}
LIST_SEPARATORS = {"category": " > ", "title": ", ", "brand": ", ", "description": ", "}


def is_floating(type_name: str) -> bool:
    """Tell whether a DuckDB type is a floating-point number, which can be NaN."""
    return type_name in ("DOUBLE", "FLOAT")


def has_decimals(type_name: str) -> bool:
    """Tell whether numbers of a DuckDB type are written with a point: DOUBLE, FLOAT, or DECIMAL with a scale."""
    scale = re.fullmatch(r"DECIMAL\(\d+,(\d+)\)", type_name)
    return is_floating(type_name) or bool(scale and int(scale[1]))


def raw_text_sql(column: str, value_sql: str, type_name: str, type_in_file: str | None = None) -> str:
    """Return the SQL that writes a value as the text of one of nextmart's columns.

    Parameters
    ----------
    column : str
        The name of nextmart's column.
    value_sql : str
        SQL of the value.
    type_name : str
        DuckDB type of the value.
    type_in_file : str, optional
        DuckDB type of the value in the file, if the value is read as text although the file (JSON) gives it this type.
    """
    type_in_file = type_in_file or type_name
    if column in ID_COLUMNS and has_decimals(type_name):
        # whole numbers get no point and no exponent, however large they are; -0 becomes 0
        if not is_floating(type_name):
            whole = f"cast(cast({value_sql} as hugeint) as varchar)"
            return f"case when {value_sql} = trunc({value_sql}) then {whole} else cast({value_sql} as varchar) end"
        return (
            f"case when isnan({value_sql}) then null when isfinite({value_sql}) and {value_sql} = trunc({value_sql}) "
            f"then format('{{:.0f}}', {value_sql} + 0) else cast({value_sql} as varchar) end"
        )
    if is_floating(type_name):
        return f"case when not isnan({value_sql}) then cast({value_sql} as varchar) end"
    if column in ID_COLUMNS and has_decimals(type_in_file):
        return f"regexp_replace({value_sql}, '^(-?[0-9]+)[.]0+$', '\\1')"
    if column in LIST_SEPARATORS and type_name.endswith("]"):
        return _joined_list_sql(value_sql, type_name, literal(LIST_SEPARATORS[column]))
    if column in LIST_SEPARATORS and type_in_file == "JSON":
        # some rows of a JSON column can hold texts and other rows lists
        return (
            f"case when json_valid({value_sql}) and json_type({value_sql}) = 'ARRAY' "
            f"then {_joined_list_sql(f'cast({value_sql} as json[])', 'JSON[]', literal(LIST_SEPARATORS[column]))} "
            f"else cast({value_sql} as varchar) end"
        )
    return f"cast({value_sql} as varchar)"


def _joined_list_sql(value_sql: str, type_name: str, separator: str) -> str:
    """Return the SQL that joins a list's texts with a separator; inner lists are flattened, blanks are dropped."""
    element_type = re.sub(r"(\[\d*\])+$", "", type_name)
    if element_type.startswith(("STRUCT", "MAP")):
        return f"cast({value_sql} as varchar)"
    list_type = re.sub(r"\[\d+\]", "[]", type_name)  # arrays of a fixed length are cast to lists
    value = f"cast({value_sql} as {list_type})"
    for _ in range(list_type.count("[]") - 1):
        value = f"flatten({value})"
    texts = (
        f"list_transform({value}, lambda element: element ->> '$')"
        if element_type == "JSON"
        else f"cast({value} as varchar[])"
    )
    return f"nullif(array_to_string(list_filter({texts}, lambda element: trim(element) <> ''), {separator}), '')"


def time_read_by_formats_sql(time_text_sql: str, time_formats: tuple[str, ...]) -> str:
    """Return the SQL that reads a time by the given formats and writes it in ISO 8601; null if no format reads it.

    The result is null too if two formats read two different times, because either can be right. It is null for times
    before the year 1000, because ``%Y`` reads a year of two digits as a year of the first century.
    """
    instants = [f"try_strptime(trim({time_text_sql}), {literal(form)})" for form in time_formats]
    if len(instants) == 1:
        return f"case when {instants[0]} >= timestamp '1000-01-01' then cast({instants[0]} as varchar) end"
    readings = ", ".join(
        f"case when year({instant}) >= 1000 then cast({instant} as varchar) end" for instant in instants
    )
    return f"case when len(list_distinct([{readings}])) = 1 then list_distinct([{readings}])[1] end"
