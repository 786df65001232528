"""The tables of the published file, as each target reads them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from jobs.errors import NextmartError
from jobs.warehouse.connection import Connection, count_rows, literal, quoted

COLUMNS: Final = """
    select table_name, list(column_name order by column_index), list(comment order by column_index)
    from duckdb_columns()
    where database_name = 'published' and schema_name = 'recommendations'
    group by table_name
    order by table_name
"""
TABLE_COMMENTS: Final = """
    select table_name, comment from duckdb_tables()
    where database_name = 'published' and schema_name = 'recommendations'
"""


@dataclass(frozen=True)
class PublishedTable:
    """A table of the published file.

    Attributes
    ----------
    comments : column -> text or None
        What each column means; the keys are all columns, in their order.
    comment : str or None
        What the table is.
    row_count : int
        Its number of rows.
    """

    name: str
    comments: dict[str, str | None]
    comment: str | None
    row_count: int

    @property
    def relation(self) -> str:
        """The table in SQL of a connection to the published file."""
        return f"published.recommendations.{quoted(self.name)}"

    def require_same_count(self, connection: Connection, copy: str) -> None:
        """Raise NextmartError unless a copy, named in SQL, has as many rows as the table."""
        count = count_rows(connection, copy)
        if count != self.row_count:
            raise NextmartError(f"the copy of {self.name} holds {count:,} rows, not {self.row_count:,}")


@contextmanager
def connected_to_published(published_file: Path) -> Iterator[tuple[Connection, list[PublishedTable]]]:
    """Open the published file to read, as the database ``published``; yield the connection and the tables."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach {literal(str(published_file))} as published (read_only)")
        comments = dict(connection.execute(TABLE_COMMENTS).fetchall())
        tables = [
            PublishedTable(
                name,
                dict(zip(columns, column_comments, strict=True)),
                comments.get(name),
                count_rows(connection, f"published.recommendations.{quoted(name)}"),
            )
            for name, columns, column_comments in connection.execute(COLUMNS).fetchall()
        ]
        yield connection, tables
