"""What dbt's Python models call: one job, on a connection of its own.

The job's summary becomes the one row of the dbt model, and a line for people.
"""

import json
import time
from typing import Any

import pyarrow as pa

from jobs.commands.terminal import job_counts
from jobs.orchestration.run_job import run
from jobs.progress import say, stage_line
from jobs.settings import load_settings
from jobs.warehouse.connection import Connection


def run_job(name: str, session: Connection, meta: dict[str, Any]) -> pa.Table:
    """Run a job with the vars that dbt resolved (``meta`` of the model, ``_jobs__models.yml``).

    Parameters
    ----------
    name : str
        embed, train, evaluate or recommend.
    session : Connection
        dbt's connection; the job works on a cursor, whose commits are its own.
    meta : dict
        Values of :class:`jobs.settings.Vars` by name.
    """
    settings = load_settings(vars=meta)
    with session.cursor() as connection:
        connection.execute("set TimeZone = 'UTC'")
        started_at = time.monotonic()
        summary = run(name, connection, settings)
        say(stage_line(name, job_counts(summary), time.monotonic() - started_at))
    row = {**summary, "detail": json.dumps(summary["detail"])}
    return pa.table({column: [value] for column, value in row.items()})
