"""Reads the published file for the writers of publish targets: its tables, their columns and their comments."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from jobs.errors import NextmartError
from jobs.warehouse.connection import Connection, count_rows, literal, quoted_name

SELECT_COLUMNS: Final = """
    select table_name, list(column_name order by column_index), list(comment order by column_index)
    from duckdb_columns()
    where database_name = 'published' and schema_name = 'recommendations'
    group by table_name
    order by table_name
"""
SELECT_TABLE_COMMENTS: Final = """
    select table_name, comment from duckdb_tables()
    where database_name = 'published' and schema_name = 'recommendations'
"""


@dataclass(frozen=True)
class PublishedTable:
    """A table of the published file.

    Attributes
    ----------
    column_comments : column -> text or None
        The comment on each column of the table, in the order of columns.
    table_comment : str or None
        The comment on the table.
    row_count : int
        Number of rows of the table.
    """

    name: str
    column_comments: dict[str, str | None]
    table_comment: str | None
    row_count: int

    @property
    def relation(self) -> str:
        """SQL that names the table on a connection of :func:`open_published_file`."""
        return f"published.recommendations.{quoted_name(self.name)}"

    def require_same_row_count(self, connection: Connection, copy_relation: str) -> None:
        """Raise NextmartError unless the table's copy has as many rows; ``copy_relation`` is SQL for the copy."""
        count = count_rows(connection, copy_relation)
        if count != self.row_count:
            raise NextmartError(f"the copy of {self.name} holds {count:,} rows, not {self.row_count:,}")


@contextmanager
def open_published_file(published_file: Path) -> Iterator[tuple[Connection, list[PublishedTable]]]:
    """Open the published file for reading, as the attached database ``published``; yield connection and tables."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach {literal(str(published_file))} as published (read_only)")
        comments = dict(connection.execute(SELECT_TABLE_COMMENTS).fetchall())
        tables = [
            PublishedTable(
                name,
                dict(zip(columns, column_comments, strict=True)),
                comments.get(name),
                count_rows(connection, f"published.recommendations.{quoted_name(name)}"),
            )
            for name, columns, column_comments in connection.execute(SELECT_COLUMNS).fetchall()
        ]
        yield connection, tables
