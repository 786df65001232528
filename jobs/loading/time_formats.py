"""Finds times that staging can't read for certain, and proposes formats to the user that would read them.

A time is not read for certain if staging can't read it at all, or if its day and month may be confused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import duckdb

from jobs.errors import UsageError
from jobs.loading.row_samples import sampled_relation_sql
from jobs.loading.values_as_text import time_read_by_formats_sql
from jobs.warehouse.connection import Connection, count_rows, literal
from jobs.warehouse.dbt_macros import dbt_macros

SAMPLE_ROWS = 20_000
_DATE_FORMATS = [
    *(sign.join(parts) for sign in "/.-" for parts in (("%d", "%m", "%Y"), ("%m", "%d", "%Y"))),
    *(sign.join(parts) for sign in "/.-" for parts in (("%d", "%m", "%y"), ("%m", "%d", "%y"), ("%y", "%m", "%d"))),
    *("%Y-%m-%d", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%a, %d %b %Y"),
]
_CLOCK_FORMATS = [
    *("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %H:%M:%S,%f", " %I:%M %p", " %I:%M:%S %p", ", %H:%M", ", %H:%M:%S"),
    *(", %I:%M %p", ", %I:%M:%S %p"),
    *("T%H:%M:%S", " %H:%M:%S %z"),
]
FORMATS = [
    *map("".join, product(_DATE_FORMATS, _CLOCK_FORMATS)),
    *(
        "%a, %d %b %Y %H:%M:%S %Z",
        "%a %b %d %H:%M:%S %z %Y",
        "%a %b %d %H:%M:%S %Y",
        "%d/%b/%Y:%H:%M:%S %z",
        "[%d/%b/%Y:%H:%M:%S %z]",
    ),
    *("%d/%B/%Y:%H:%M:%S %z", "[%d/%B/%Y:%H:%M:%S %z]"),
]
"""Formats that are proposed; of formats that read equally many times, the earliest in this list is preferred."""
DAY_OR_MONTH_FIRST = "[0-9]{1,2}[/.-][0-9]{1,2}[/.-]([0-9]{4}|[0-9]{2})([ T,].*)?"
"""A pattern of times in which day and month can be confused, though dbt's staging may be able to read them."""


def require_valid_formats(connection: Connection, time_formats: tuple[str, ...]) -> None:
    """Raise an error if DuckDB doesn't understand a time format, or if a format has no year.

    Raises
    ------
    UsageError
        If DuckDB doesn't know a part of a format, or a format names no year: its times would lie in the year 1900.
    """
    for time_format in time_formats:
        try:
            connection.execute(f"select try_strptime('', {literal(time_format)})")
        except duckdb.Error as error:
            raise UsageError(f"--time-format {time_format}: {error}") from error
        if not re.search("%-?[YyGcx]", time_format):
            raise UsageError(f"--time-format {time_format}: a format must name a year (%Y), as '%d/%m/%Y %H:%M' does")


@dataclass(frozen=True)
class UnreadTimes:
    """The times of a column that dbt's staging can't read for certain, and formats that read them.

    Attributes
    ----------
    unread_count, value_count : int
        The numbers of times that can't be read for certain, and of all times.
    example : str
        One time that can't be read for certain.
    sampled_text_count, readable_text_count : int
        The number of different unread texts in a sample, and how many of these each format in ``example_readings``
        reads. All of these formats read equally many.
    example_readings : format -> one text and its reading
        The formats that read most texts, each with its reading of one example text. Of formats that read this text
        alike, only the first is listed. Empty if no format reads any text.
    """

    unread_count: int
    value_count: int
    example: str
    sampled_text_count: int
    readable_text_count: int
    example_readings: dict[str, tuple[str, str]]


def unread_time_notes(connection: Connection, table: str, column: str, dbt_vars: Mapping[str, Any]) -> list[str]:
    """Return a warning with the format to type, if a table has times that dbt's staging can't read for certain.

    Parameters
    ----------
    column : str
        ``event_at`` or ``updated_at``.
    dbt_vars : mapping
        Values of the dbt vars.
    """
    unread_times = find_unread_times(connection, table, column, dbt_vars)
    if unread_times is None:
        return []
    said = (
        f"warning: {column}: {unread_times.unread_count:,} of {unread_times.value_count:,} times can't be read for "
        "certain"
    )
    if not unread_times.example_readings:
        return [
            f"{said}, such as '{unread_times.example}'. "
            "Say their format: --time-format '%d.%m.%Y %H:%M' (or another of strptime)"
        ]
    readings = ", or ".join(
        f"{instant} with --time-format '{form}'" for form, (_, instant) in unread_times.example_readings.items()
    )
    example = next(iter(unread_times.example_readings.values()))[0]
    return [f"{said}. '{example}' is {readings}. Say which: nothing was guessed, the texts are loaded as they are."]


def find_unread_times(
    connection: Connection, relation: str, column: str, dbt_vars: Mapping[str, Any]
) -> UnreadTimes | None:
    """Return the times of a column that dbt's staging can't read for certain, or None if there are none.

    Parameters
    ----------
    relation : str
        The name of a table or view. Of many rows, a sample is read; of a view, DuckDB reads all rows nevertheless.
    column : str
        The name of the table's column, quoted if SQL needs quotes.
    dbt_vars : mapping
        Values of the dbt vars.
    """
    macros = dbt_macros(dbt_vars=dbt_vars)
    text = str(macros.blank_as_null(column))
    # times that begin with a year of four digits are tested first, by DuckDB's fast cast
    is_unread_sql = (
        f"case when try_cast(left({column}, 4) as integer) > 999 and {column}[5] in ('-', '/') "
        f"and try_cast({column} as timestamp) is not null then false "
        f"else {text} is not null and ({macros.to_timestamp_utc(text)} is null "
        f"or regexp_full_match({text}, {literal(DAY_OR_MONTH_FIRST)})) end"
    )
    measured = sampled_relation_sql(count_rows(connection, relation), relation)
    count = count_rows(connection, f"{measured} where {is_unread_sql}")
    if not count:
        return None
    connection.execute(
        "create or replace temp table unread_times as select distinct time_text "
        f"from (select {text} as time_text from {measured} where {is_unread_sql}) "
        f"using sample reservoir({SAMPLE_ROWS} rows) repeatable (0)"
    )
    example = connection.execute("select min(time_text) from unread_times").fetchall()[0][0]
    value_count = count_rows(connection, f"{measured} where {text} is not null")
    read_texts, readings = _best_time_formats(connection)
    return UnreadTimes(count, value_count, example, count_rows(connection, "unread_times"), read_texts, readings)


def _best_time_formats(connection: Connection) -> tuple[int, dict[str, tuple[str, str]]]:
    """Find the time formats that read most texts of the table ``unread_times``.

    Returns
    -------
    int
        How many of the texts each of these formats reads.
    format -> (text, time)
        An example for each format: a text, and the time that the format reads from it. The example is a text that the
        formats read differently, if there is one; of formats that read it alike, only the first is returned.
    """
    # a year before 1000 is a wrong reading: %Y reads a year of two digits as one of the first century
    readings = [f"try_strptime(time_text, {literal(time_format)}) >= timestamp '1000-01-01'" for time_format in FORMATS]
    counts = connection.execute(
        f"select {', '.join(f'coalesce(count_if({sql}), 0)' for sql in readings)} from unread_times"
    ).fetchall()[0]
    if not max(counts):
        return 0, {}
    best_formats = [time_format for time_format, count in zip(FORMATS, counts, strict=True) if count == max(counts)]
    selected = ", ".join(time_read_by_formats_sql("time_text", (time_format,)) for time_format in best_formats)
    first = time_read_by_formats_sql("time_text", (best_formats[0],))
    row = connection.execute(
        f"select time_text, {selected} from unread_times where {first} is not null "
        f"order by len(list_distinct([{selected}])) desc, time_text limit 1"
    ).fetchall()[0]
    distinct_readings: dict[str, tuple[str, str]] = {}
    for time_format, instant in zip(best_formats, row[1:], strict=True):
        if instant is not None and instant not in [known for _, known in distinct_readings.values()]:
            distinct_readings[time_format] = (row[0], instant)
    return max(counts), distinct_readings
