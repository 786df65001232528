"""The publish target ``postgres``: a schema of a PostgreSQL database.

The new tables are written to a second schema, which then gets the name of the first in one transaction. So a reader
sees all tables of one publication, and never waits for the copying. Grants on the old tables, and other people's views
of them, go over to the new tables (``sql/publishing/swap_schema.sql``).
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Final

import duckdb

from jobs.errors import NextmartError
from jobs.files import sql_text
from jobs.progress import say
from jobs.publish_targets import PublishTarget
from jobs.publishing.targets.published_tables import PublishedTable, open_published_file
from jobs.warehouse.attached_databases import attach_database
from jobs.warehouse.connection import Connection, count_rows, literal, quoted_name

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
"""Name of a published table -> the columns of its primary key."""
REPLACE_NULL_BYTES: Final = "set pg_null_byte_replacement = '\N{REPLACEMENT CHARACTER}'"
"""PostgreSQL refuses texts with a null byte, and anybody who sends events can put one in a visitor_id."""
SEARCHED_COLUMNS: Final = ("visitor_id", "item_id")
"""Columns by which people look up rows; each of them gets an index in every table that has the column."""
MAX_INDEXED_BYTES: Final = 2000
"""The longest id, in bytes, whose rows are copied: all columns of an index of PostgreSQL have at most 2,704 a row."""


def write_postgres(published_file: Path, target: PublishTarget, setting_name: str) -> int:
    """Replace the tables of a PostgreSQL schema by the published tables; return the number of rows of all of them.

    Rows with an id that is too long for an index are left out, and a warning tells how many: anybody who sends events
    can make up such an id.

    Raises
    ------
    NextmartError, duckdb.Error
        If the server refuses a statement or stops answering; readers still see the old tables then.
    """
    incoming = f"{target.schema_name}_incoming"
    names = {
        "live_schema": literal(target.schema_name),
        "incoming_schema": literal(incoming),
        "old_schema": literal(f"{target.schema_name}_old"),
    }
    with open_published_file(published_file) as (connection, tables):
        attach_database(connection, "target", target.attached_database(), setting_name)
        connection.execute(REPLACE_NULL_BYTES)
        for file in ("drop_old_schema.sql", "prepare_incoming_schema.sql"):
            _execute_on_server(connection, sql_text(f"publishing/{file}").format(**names))
        connection.execute("call pg_clear_cache()")
        row_count = 0
        for table in tables:
            copy = f"{quoted_name(incoming)}.{quoted_name(table.name)}"
            rows = _sql_of_rows_to_copy(table)
            copied = replace(table, row_count=count_rows(connection, rows))
            if left_out := table.row_count - copied.row_count:
                say(
                    f"WARN: {setting_name}: {left_out:,} rows of {table.name} are left out, because PostgreSQL can't "
                    f"index their ids, which are longer than {MAX_INDEXED_BYTES:,} bytes"
                )
            connection.execute(f"create table target.{copy} as from {rows}")
            for statement in _finishing_statements(table, copy):
                _execute_on_server(connection, statement)
            copied.require_same_row_count(connection, f"target.{copy}")
            row_count += copied.row_count
        for file in ("swap_schema.sql", "drop_old_schema.sql"):
            _execute_on_server(connection, sql_text(f"publishing/{file}").format(**names))
        return row_count


def _sql_of_rows_to_copy(published_table: PublishedTable) -> str:
    """Return SQL, in parentheses, that selects the rows of a published table whose ids PostgreSQL can index."""
    indexed = [column for column in SEARCHED_COLUMNS if column in published_table.column_comments]
    conditions = " and ".join(
        f"coalesce(strlen({quoted_name(column)}), 0) <= {MAX_INDEXED_BYTES}" for column in indexed
    )
    return f"(from {published_table.relation} where {conditions or 'true'})"


def _finishing_statements(published_table: PublishedTable, copy_relation: str) -> list[str]:
    """Return the SQL statements that give a new table in PostgreSQL its key, indexes, comments and statistics."""
    key = PRIMARY_KEYS.get(published_table.name, ())
    statements = [f"alter table {copy_relation} add primary key ({', '.join(map(quoted_name, key))})"] if key else []
    indexed = [
        column for column in SEARCHED_COLUMNS if column in published_table.column_comments and key[:1] != (column,)
    ]
    statements += [f"create index on {copy_relation} ({quoted_name(column)})" for column in indexed]
    statements += [
        f"comment on column {copy_relation}.{quoted_name(column)} is {_postgres_literal(comment)}"
        for column, comment in published_table.column_comments.items()
        if comment
    ]
    if published_table.table_comment:
        statements.append(f"comment on table {copy_relation} is {_postgres_literal(published_table.table_comment)}")
    return [*statements, f"analyze {copy_relation}"]


def _postgres_literal(text: str) -> str:
    """Return a text as a PostgreSQL literal that is right with any value of ``standard_conforming_strings``."""
    return "E" + literal(text.replace("\\", "\\\\"))


def _execute_on_server(connection: Connection, statement: str) -> None:
    """Execute and commit a statement on the PostgreSQL server.

    Raises
    ------
    NextmartError
        If the server refuses the statement; the message is the server's, without the text of the statement.
    """
    try:
        connection.execute(f"call postgres_execute('target', {literal(statement)})")
    except duckdb.Error as error:
        said = re.search(r"ERROR: +(.*?)(\nCONTEXT:|$)", str(error), re.DOTALL)
        raise NextmartError(said[1].strip() if said else str(error)) from error
