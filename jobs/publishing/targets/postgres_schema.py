"""A schema of a PostgreSQL database. The tables are written beside it, and the schemas swap names in one transaction.

A reader sees the tables of one publication or of the next, and never waits for the copying. Views of other people that
read the tables follow the swap, and grants are kept (``sql/publishing/swap_schema.sql``).
"""

import re
from pathlib import Path
from typing import Final

import duckdb

from jobs.errors import NextmartError
from jobs.files import sql_text
from jobs.publish_targets import PublishTarget
from jobs.publishing.targets.published_tables import PublishedTable, connected_to_published
from jobs.warehouse.attached import attach_database
from jobs.warehouse.connection import Connection, literal, quoted

PRIMARY_KEYS: Final = {
    "bought_together": ("item_id", "rank"),
    "changes": ("placement", "visitor_id"),
    "items": ("item_id",),
    "placement_recommendations": ("placement", "visitor_id", "rank"),
    "popular_items": ("rank",),
    "similar_items": ("item_id", "rank"),
    "viewed_together": ("item_id", "rank"),
    "visitor_recommendations": ("visitor_id", "rank"),
    "visitor_recommendations_wide": ("visitor_id",),
}
"""Published table -> the columns whose values tell its rows apart."""
SEARCHED_COLUMNS: Final = ("visitor_id", "item_id")
"""Columns by which people look rows up: each gets an index in every table that has it."""


def write_postgres(published_file: Path, target: PublishTarget, setting: str) -> int:
    """Write the published tables to a schema of PostgreSQL, and swap it in; return the number of rows.

    Raises
    ------
    NextmartError, duckdb.Error
        If the server refuses a statement or stops answering: the schema is as it was then.
    """
    incoming = f"{target.schema_name}_incoming"
    names = {
        "live_schema": literal(target.schema_name),
        "incoming_schema": literal(incoming),
        "old_schema": literal(f"{target.schema_name}_old"),
    }
    with connected_to_published(published_file) as (connection, tables):
        attach_database(connection, "target", target.database(), setting)
        for file in ("drop_old_schema.sql", "prepare_incoming_schema.sql"):
            _execute(connection, sql_text(f"publishing/{file}").format(**names))
        connection.execute("call pg_clear_cache()")
        for table in tables:
            copy = f"{quoted(incoming)}.{quoted(table.name)}"
            connection.execute(f"create table target.{copy} as from {table.relation}")
            for statement in _finishing_statements(table, copy):
                _execute(connection, statement)
            table.require_same_count(connection, f"target.{copy}")
        for file in ("swap_schema.sql", "drop_old_schema.sql"):
            _execute(connection, sql_text(f"publishing/{file}").format(**names))
        return sum(table.row_count for table in tables)


def _finishing_statements(table: PublishedTable, copy: str) -> list[str]:
    """Return the statements that give a table its key, indexes, comments and statistics."""
    key = PRIMARY_KEYS.get(table.name, ())
    statements = [f"alter table {copy} add primary key ({', '.join(map(quoted, key))})"] if key else []
    indexed = [column for column in SEARCHED_COLUMNS if column in table.comments and key[:1] != (column,)]
    statements += [f"create index on {copy} ({quoted(column)})" for column in indexed]
    statements += [
        f"comment on column {copy}.{quoted(column)} is {_postgres_literal(comment)}"
        for column, comment in table.comments.items()
        if comment
    ]
    if table.comment:
        statements.append(f"comment on table {copy} is {_postgres_literal(table.comment)}")
    return [*statements, f"analyze {copy}"]


def _postgres_literal(text: str) -> str:
    """Return a text as a literal of PostgreSQL, whatever it takes backslashes for."""
    return "E" + literal(text.replace("\\", "\\\\"))


def _execute(connection: Connection, statement: str) -> None:
    """Execute a statement on the server, which commits it.

    Raises
    ------
    NextmartError
        If the server refuses the statement; the message is the server's own, without the statement.
    """
    try:
        connection.execute(f"call postgres_execute('target', {literal(statement)})")
    except duckdb.Error as error:
        said = re.search(r"ERROR: +(.*?)(\nCONTEXT:|$)", str(error), re.DOTALL)
        raise NextmartError(said[1].strip() if said else str(error)) from error
