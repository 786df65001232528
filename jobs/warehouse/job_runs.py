"""The table ``ml.job_runs``: one row for each run of a job or a command."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb

from jobs.errors import NextmartError, redact
from jobs.interruption import is_interrupted
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection


@dataclass
class JobRun:
    """One run of a job or a command, as ``ml.job_runs`` records it. The job updates its counts while it runs.

    Attributes
    ----------
    rows_in, rows_out : int
        The numbers of rows that the job read and that it wrote.
    cost : float
        The money spent, in US dollars.
    detail : dict
        Further results of the job, as values that JSON can hold.
    status : str
        ``running``, then ``done``, ``failed``, ``interrupted``, or what the job sets (``unchanged``, ``incomplete``).
    """

    run_id: str
    job: str
    started_at: datetime
    rows_in: int = 0
    rows_out: int = 0
    cost: float = 0.0
    detail: dict[str, Any] = field(default_factory=dict)
    status: str = "running"

    def as_dictionary(self) -> dict[str, Any]:
        """Return the run's results as commands print them with ``--json`` and as dbt's job models store them."""
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
    """Record a run of ``job`` in ``ml.job_runs``: insert the run's row at its start, and update the row at its end.

    The row is inserted at the start, so that a killed run leaves a trace. On success the status becomes ``done``,
    unless the job has set another status (such as ``unchanged``: there was nothing to do). On an error the status
    becomes ``failed``, and the row gets the error's message without secrets. If the warehouse can't be written then, as
    on a full disk, the row stays as it is. Rows of the same job that stayed ``running`` become ``interrupted``.

    Raises
    ------
    NextmartError
        If the job succeeded, and the warehouse can't be written at its end.
    """
    started_at = now()
    run_record = JobRun(f"{job}-{started_at:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}", job, started_at)
    connection.execute(
        "update ml.job_runs set status = 'interrupted', finished_at = ? where job = ? and status = 'running'",
        [started_at, job],
    )
    connection.execute(
        "insert into ml.job_runs (run_id, job, started_at, status, run_number) "
        "select ?, ?, ?, 'running', coalesce(max(run_number), 0) + 1 from ml.job_runs",
        [run_record.run_id, job, started_at],
    )
    try:
        yield run_record
    except BaseException as error:
        run_record.status = "interrupted" if isinstance(error, KeyboardInterrupt) or is_interrupted() else "failed"
        with suppress(duckdb.Error):  # the first error is the one to report
            _record_end(connection, run_record, redact(f"{type(error).__name__}: {error}"))
        raise
    run_record.status = "done" if run_record.status == "running" else run_record.status
    try:
        _record_end(connection, run_record, None)
    except duckdb.Error as error:
        raise NextmartError(
            f"{job} is {run_record.status}, but the warehouse has no record of its end: {error}"
        ) from error


def _record_end(connection: Connection, run_record: JobRun, error_message: str | None) -> None:
    """Update a run's row with the run's end time, status and results, and with the error's message if it failed."""
    connection.execute(
        "update ml.job_runs set finished_at = ?, status = ?, rows_in = ?, rows_out = ?, cost = ?, "
        "detail = ?, error = ? where run_id = ?",
        [
            now(),
            run_record.status,
            run_record.rows_in,
            run_record.rows_out,
            run_record.cost,
            redact(json.dumps(run_record.detail)),
            error_message,
            run_record.run_id,
        ],
    )
