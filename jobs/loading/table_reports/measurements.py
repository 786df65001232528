"""Measurements that the reports of several raw tables share."""

from typing import Any

from jobs.loading.source_report import EXAMPLE_LENGTH, EXAMPLES_LISTED, ColumnReport
from jobs.loading.staging_rules import ReadingRule
from jobs.warehouse.connection import Connection


def column_report(
    connection: Connection,
    relation: str,
    measured_counts: dict[str, Any],
    column: str,
    text_rule: ReadingRule,
    reading_rule: ReadingRule,
) -> ColumnReport:
    """Return how many values of a column ``reading_rule`` reads, and the most frequent values that it can't read.

    Parameters
    ----------
    relation : str
        The SQL of the rows that are measured.
    measured_counts : name -> number
        The numbers of values that were counted in these rows: ``column`` -> values that ``reading_rule`` reads, and
        ``column_given`` -> values that are not null.
    text_rule : ReadingRule
        The SQL of a value's text; null if there is no value.
    """
    given, read = measured_counts[f"{column}_given"], measured_counts[column]
    unread = {}
    if read < given:
        query = (
            f"select left({text_rule(column)}, {EXAMPLE_LENGTH}) as value, count(*) from {relation} "
            f"where {text_rule(column)} is not null and {reading_rule(column)} is null "
            f"group by value order by count(*) desc, value limit {EXAMPLES_LISTED}"
        )
        unread = dict(connection.execute(query).fetchall())
    return ColumnReport(given, read, unread)


def single_row(connection: Connection, query: str) -> dict[str, Any]:
    """Return the single row of a query's result: column name -> value."""
    result = connection.execute(query)
    names = [column[0] for column in result.description or ()]
    return dict(zip(names, result.fetchone() or (), strict=True))


def time_text_sql(instant_sql: str) -> str:
    """Return the SQL that writes an instant as a text in UTC, to the second."""
    return f"strftime({instant_sql} at time zone 'UTC', '%Y-%m-%d %H:%M:%S')"
