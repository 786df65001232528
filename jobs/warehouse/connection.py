"""Connections to the warehouse file, transactions, quoting for SQL, and creating the tables that jobs write."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb

from jobs.errors import NextmartError, UsageError
from jobs.files import sql_text
from jobs.warehouse import sql_functions

Connection = duckdb.DuckDBPyConnection

SCHEMAS: Final = ("raw", "staging", "sessions", "catalog", "jobs", "ml", "recommendations")


def connect(path: Path, *, read_only: bool = False, wait_seconds: float = 0) -> Connection:
    """Open the warehouse file with the time zone UTC; wait up to ``wait_seconds`` if another process has it open.

    Raises
    ------
    UsageError
        If the file has the name of one of its schemas, because DuckDB would then find table names ambiguous.
    NextmartError
        If the file is no DuckDB database, or another process still has it open after ``wait_seconds``; the message
        names that process.
    """
    if path.stem in SCHEMAS:
        raise UsageError(
            f"a warehouse file can't be called '{path.name}': DuckDB names the database '{path.stem}', "
            "like one of its schemas. Choose another name, for example warehouse.duckdb."
        )
    if not read_only:
        path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            connection = duckdb.connect(str(path), read_only=read_only)
            connection.execute("set TimeZone = 'UTC'")
            return connection
        except duckdb.IOException as error:
            if "Could not set lock" not in str(error):
                raise NextmartError(f"can't open {path} as a DuckDB database: {error}") from error
            if time.monotonic() >= deadline:
                raise NextmartError(_lock_message(path, str(error))) from error
            time.sleep(min(0.5, max(0.0, deadline - time.monotonic())))


def _lock_message(path: Path, duckdb_message: str) -> str:
    """Return an error message that names the process that has the warehouse open, if DuckDB's message names it."""
    lock = re.search(r"held in (.*?) \(PID (\d+)\)", duckdb_message)
    holder = "another process"
    if lock:
        program, pid = lock.groups()
        command_line = Path(f"/proc/{pid}/cmdline")
        if command_line.exists():
            program = command_line.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()[:200]
        holder = f"process {pid} ({program})"
    return f"{path} is held by {holder}. End that process, or let this command wait for it: --wait SECONDS."


def prepare_warehouse(connection: Connection) -> None:
    """Create the missing tables and columns of ``sql/ddl``, and register the functions that dbt's SQL models call.

    A user's own view that stands in for a table of ``raw`` stays as it is, whatever columns it lacks.
    """
    sql_functions.register_functions(connection)
    for schema in ("raw", "ml"):
        ddl = sql_text(f"ddl/{schema}.sql")
        tables = set(re.findall(rf"create table if not exists {schema}\.(\w+)", ddl))
        added_columns = re.findall(rf"(alter table {schema}\.(\w+) add column if not exists (\w+).*?;)", ddl)
        columns, views = _existing_columns(connection, schema)
        needed_columns = {(table, column) for _, table, column in added_columns if table not in views}
        # the DDL runs only if something is missing, because executing DDL has to wait for other writers
        if tables <= {table for table, _ in columns} and needed_columns <= columns:
            continue
        for statement, table, _ in added_columns:
            ddl = ddl.replace(statement, "") if table in views else ddl
        connection.execute(ddl)


def _existing_columns(connection: Connection, schema: str) -> tuple[set[tuple[str, str]], set[str]]:
    """Return a schema's columns, as pairs of a table's or view's name and a column's name, and its views' names."""
    rows = connection.execute(
        "select table_name, column_name, table_type = 'VIEW' from information_schema.columns "
        "inner join information_schema.tables using (table_catalog, table_schema, table_name) "
        "where table_catalog = current_database() and table_schema = ?",
        [schema],
    ).fetchall()
    return {(table, column) for table, column, _ in rows}, {table for table, _, is_view in rows if is_view}


def count_rows(connection: Connection, relation: str) -> int:
    """Return the number of rows of a relation: SQL text with a table's name or a query in parentheses."""
    count = connection.execute(f"select count(*) from {relation}").fetchone()  # noqa: S608
    return int(count[0]) if count else 0


def is_own_table(connection: Connection, schema: str, table: str) -> bool:
    """Tell whether the warehouse has a table with this name; views and tables of attached databases don't count."""
    found = connection.execute(
        "select true from duckdb_tables() "
        "where database_name = current_database() and schema_name = ? and table_name = ?",
        [schema, table],
    ).fetchone()
    return found is not None


def literal(text: str) -> str:
    """Return a text as an SQL string literal, for places where DuckDB allows no parameter (file names, comments)."""
    return "'" + text.replace("'", "''") + "'"


def quoted(identifier: str) -> str:
    """Return the name of a table or column as a quoted SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Run a ``with`` block in a transaction: commit at the end of the block, roll back if the block raises an error."""
    connection.execute("begin")
    try:
        yield
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")


@contextmanager
def rolled_back(connection: Connection) -> Iterator[None]:
    """Run a ``with`` block in a transaction that is rolled back at the end, whatever the block has done."""
    connection.execute("begin")
    try:
        yield
    finally:
        connection.execute("rollback")
