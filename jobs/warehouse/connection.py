"""The warehouse file: connections, the tables that jobs own, and the record of their runs."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from jobs.errors import NextmartError, UsageError
from jobs.files import sql_text
from jobs.warehouse import sql_functions

Connection = duckdb.DuckDBPyConnection

SCHEMAS = ("raw", "staging", "sessions", "catalog", "jobs", "ml", "recommendations")


def connect(path: Path, *, read_only: bool = False, wait_seconds: float = 0) -> Connection:
    """Open the warehouse in UTC, waiting up to ``wait_seconds`` while another process holds it.

    Raises
    ------
    UsageError
        If the file's name equals one of its schemas (DuckDB then finds every name ambiguous).
    NextmartError
        If the file is no DuckDB database, or is still held when the time is up: names the holder.
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
                raise NextmartError(_held_by(path, str(error))) from error
            time.sleep(min(0.5, max(0.0, deadline - time.monotonic())))


def _held_by(path: Path, message: str) -> str:
    found = re.search(r"held in (.*?) \(PID (\d+)\)", message)
    holder = "another process"
    if found:
        program, pid = found.groups()
        command_line = Path(f"/proc/{pid}/cmdline")
        if command_line.exists():
            program = command_line.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()[:200]
        holder = f"process {pid} ({program})"
    return f"{path} is held by {holder}. End that process, or let this command wait for it: --wait SECONDS."


def prepare(connection: Connection) -> None:
    """Make the tables and columns that jobs own, where absent (``sql/ddl``), and the functions that SQL models call."""
    sql_functions.register(connection)
    for name in ("raw", "ml"):
        if not _is_complete(connection, name):
            connection.execute(sql_text(f"ddl/{name}.sql"))


def _is_complete(connection: Connection, schema: str) -> bool:
    # Writing DDL on every connection would wait for other writers; looking first doesn't.
    # A user's own view called raw.events counts as there.
    text = sql_text(f"ddl/{schema}.sql")
    tables = set(re.findall(rf"create table if not exists {schema}\.(\w+)", text))
    added = set(re.findall(rf"alter table {schema}\.(\w+) add column if not exists (\w+)", text))
    found = connection.execute(
        "select table_name, column_name from information_schema.columns where table_catalog = current_database() "
        "and table_schema = ?",
        [schema],
    ).fetchall()
    return tables <= {table for table, _ in found} and added <= set(found)


def count_rows(connection: Connection, table: str) -> int:
    """Count the rows of a table, named as in SQL."""
    found = connection.execute(f"select count(*) from {table}").fetchone()  # noqa: S608
    return int(found[0]) if found else 0


def literal(text: str) -> str:
    """Quote text for SQL, for the places where DuckDB takes no parameter (file names, comments)."""
    return "'" + text.replace("'", "''") + "'"


def quoted(identifier: str) -> str:
    """Quote a table's or column's name for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Commit what the block did, or nothing of it."""
    connection.execute("begin")
    try:
        yield
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")
