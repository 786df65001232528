"""The warehouse file: connections, the tables that jobs own, and the record of their runs."""

import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from jobs import sql_functions
from jobs.errors import NextmartError, UsageError, redact

Connection = duckdb.DuckDBPyConnection

SCHEMAS = ("raw", "staging", "sessions", "catalog", "jobs", "ml", "recommendations")


def project_folder(name: str) -> Path:
    """Return ``dbt_project`` or ``sql``: inside the package when installed, beside it in a checkout."""
    here = Path(__file__).resolve().parent
    packaged = here / name
    return packaged if packaged.is_dir() else here.parent / name


def sql_text(name: str) -> str:
    """Read one file of ``sql/``, such as ``ddl/ml.sql``."""
    return (project_folder("sql") / name).read_text(encoding="utf-8")


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


def now() -> datetime:
    """Return the present in UTC: the one clock that shells read and cores never do."""
    return datetime.now(UTC)


@dataclass
class JobRun:
    """What a job says of itself while it runs; kept in ``ml.job_runs``."""

    run_id: str
    job: str
    started_at: datetime
    rows_in: int = 0
    rows_out: int = 0
    cost: float = 0.0
    detail: dict[str, Any] = field(default_factory=dict)
    status: str = "running"

    def summary(self) -> dict[str, Any]:
        """Return the row that commands print with ``--json`` and dbt's job models hold."""
        return {
            "run_id": self.run_id,
            "job": self.job,
            "status": self.status,
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "cost": self.cost,
            "detail": self.detail,
        }


@contextmanager
def job_run(connection: Connection, job: str) -> Iterator[JobRun]:
    """Record a run of ``job`` from its start, so that one that is killed leaves a trace too.

    On success the row says ``done``, or what the job set (``unchanged``: there was nothing to do); on an error
    ``failed`` with the redacted message. Rows that a killed run left as ``running`` become ``interrupted``.
    """
    started_at = now()
    run = JobRun(f"{job}-{started_at:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}", job, started_at)
    connection.execute(
        "update ml.job_runs set status = 'interrupted', finished_at = ? where job = ? and status = 'running'",
        [started_at, job],
    )
    connection.execute(
        "insert into ml.job_runs (run_id, job, started_at, status) values (?, ?, ?, 'running')",
        [run.run_id, job, started_at],
    )
    try:
        yield run
    except BaseException as error:
        run.status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        _close_run(connection, run, redact(f"{type(error).__name__}: {error}"))
        raise
    run.status = "done" if run.status == "running" else run.status
    _close_run(connection, run, None)


def _close_run(connection: Connection, run: JobRun, error: str | None) -> None:
    connection.execute(
        "update ml.job_runs set finished_at = ?, status = ?, rows_in = ?, rows_out = ?, cost = ?, "
        "detail = ?, error = ? where run_id = ?",
        [now(), run.status, run.rows_in, run.rows_out, run.cost, json.dumps(run.detail), error, run.run_id],
    )


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


def fsync_folder(folder: Path) -> None:
    """Make a rename inside ``folder`` durable (a folder can't be opened for this on Windows)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
