"""Connections to the warehouse file, transactions, quoting for SQL, and creating the tables that jobs write."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import duckdb

from jobs.errors import NextmartError, UsageError
from jobs.warehouse import sql_functions
from jobs.warehouse.error_advice import damage_advice
from jobs.warehouse.schema import pending_upgrade_steps
from jobs.warehouse.waiting import WarehouseWait

Connection = duckdb.DuckDBPyConnection

SCHEMAS: Final = ("raw", "staging", "sessions", "catalog", "jobs", "ml", "recommendations")


def connect(
    path: Path, *, read_only: bool = False, wait_seconds: float = 0, config: Mapping[str, Any] | None = None
) -> Connection:
    """Open the warehouse file with the time zone UTC; wait up to ``wait_seconds`` if another process has it open.

    Parameters
    ----------
    config : mapping, optional
        DuckDB's options for the file. Connections of one process to one file need the same options.

    Raises
    ------
    UsageError
        If the file has the name of one of its schemas, in small or capital letters, because DuckDB would then find
        table names ambiguous.
    NextmartError
        If the file is no DuckDB database, or another process still has it open after ``wait_seconds``; the message
        names that process.
    """
    if path.stem.lower() in SCHEMAS:
        raise UsageError(
            f"a warehouse file can't be called '{path.name}': DuckDB names the database '{path.stem}', "
            "like one of its schemas. Choose another name, for example warehouse.duckdb."
        )
    if not read_only:
        path.parent.mkdir(parents=True, exist_ok=True)
    waiting = WarehouseWait(path, wait_seconds)
    while True:
        try:
            connection = duckdb.connect(str(path), read_only=read_only, config=dict(config or {}))
            connection.execute("set TimeZone = 'UTC'")
            return connection
        except duckdb.IOException as error:
            if "Could not set lock" not in str(error):
                advice = damage_advice(str(error))
                raise NextmartError(f"can't open {path} as a DuckDB database: {error}{advice}") from error
            holder = _describe_holding_process(str(error))
            if waiting.is_over():
                raise NextmartError(
                    f"{path} is held by {holder}. End that process, or let this command wait for it: --wait SECONDS."
                ) from error
            waiting.pause(holder)


def _describe_holding_process(duckdb_message: str) -> str:
    """Return the process that has the warehouse open, if DuckDB's message names it, as a noun phrase for messages."""
    lock = re.search(r"held in (.*?) \(PID (\d+)\)", duckdb_message)
    holder = "another process"
    if lock:
        program, pid = lock.groups()
        command_line = Path(f"/proc/{pid}/cmdline")
        if command_line.exists():
            program = command_line.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()[:200]
        holder = f"process {pid} ({program})"
    return holder


def prepare_warehouse(connection: Connection) -> None:
    """Bring the tables of ``raw`` and ``ml`` to their present shape, and register the functions that dbt's SQL calls.

    In a warehouse without tables, they are created. A warehouse that an earlier version made is upgraded, each step in
    a transaction of its own. A user's view in place of a table of ``raw`` stays as it is, whatever columns it lacks.

    Raises
    ------
    NextmartError
        If a newer version of nextmart has upgraded the warehouse.
    """
    sql_functions.register_functions(connection)
    for step in pending_upgrade_steps(connection):
        with transaction(connection):
            step(connection)


def prepare_within_transaction(connection: Connection) -> None:
    """Do what ``prepare_warehouse`` does, but in the transaction that the caller has begun and may roll back."""
    sql_functions.register_functions(connection)
    for step in pending_upgrade_steps(connection):
        step(connection)


def execute_and_fetch_number(
    connection: Connection, statement: str, bound_values: Mapping[str, Any] | None = None
) -> int:
    """Execute a statement and return its single number; of an insert or a delete, that is the number of its rows."""
    row = connection.execute(statement, bound_values).fetchone()
    return int(row[0]) if row else 0


def count_rows(connection: Connection, relation: str) -> int:
    """Return the number of rows of ``relation``, which is SQL text: a table's name, or a query in parentheses."""
    return execute_and_fetch_number(connection, f"select count(*) from {relation}")  # noqa: S608


def max_number(connection: Connection, table: str, column: str) -> int:
    """Return the highest number in a column of a table; 0 if there is none. ``table`` and ``column`` are SQL text."""
    return execute_and_fetch_number(connection, f"select coalesce(max({column}), 0) from {table}")  # noqa: S608


def literal(text: str) -> str:
    """Return a text as an SQL string literal, for places where DuckDB allows no parameter (file names, comments)."""
    return "'" + text.replace("'", "''") + "'"


def quoted_name(identifier: str) -> str:
    """Return the name of a table or column as a quoted SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Run a ``with`` block in a transaction: commit at the end of the block, roll back if the block raises an error."""
    connection.execute("begin")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        with suppress(duckdb.TransactionException):  # after a failed commit there is no transaction to roll back
            connection.execute("rollback")
        raise


@contextmanager
def rolled_back_transaction(connection: Connection) -> Iterator[None]:
    """Run a ``with`` block in a transaction that is rolled back at the end, whatever the block has done."""
    connection.execute("begin")
    try:
        yield
    finally:
        connection.execute("rollback")
