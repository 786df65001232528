"""The record of jobs' runs in ``ml.job_runs``."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jobs.errors import redact
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection


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
