"""The function that dbt's Python models call to run a job.

The job's summary becomes the only row of the dbt model; a line for people is made of it too.
"""

import json
import time
from typing import Any

import pyarrow as pa

from jobs.commands.terminal import job_summary_line
from jobs.errors import NextmartError, redact
from jobs.orchestration.run_job import run_job as run_recorded_job
from jobs.os_errors import os_error_text
from jobs.progress import say, stage_line
from jobs.settings import load_settings
from jobs.warehouse.connection import Connection


def run_job(job_name: str, session: Connection, meta: dict[str, Any]) -> pa.Table:
    """Run a job with the dbt vars that dbt resolved, and return the job's summary as a table of one row.

    Parameters
    ----------
    job_name : str
        The job: embed, train, evaluate or recommend.
    session : Connection
        dbt's connection; the job works on a cursor, whose commits are its own.
    meta : dict
        The dbt model's ``meta``, in which ``_jobs__models.yml`` puts the values of the dbt vars: the fields of
        :class:`jobs.dbt_vars.JobVars`, by name.
    """
    settings = load_settings(vars=meta)
    with session.cursor() as connection:
        connection.execute("set TimeZone = 'UTC'")
        started_at = time.monotonic()
        try:
            summary = run_recorded_job(job_name, connection, settings)
        except OSError as error:
            raise NextmartError(redact(os_error_text(error))) from error
        except Exception as error:  # dbt writes errors to its log, so secrets are replaced
            if redact(str(error)) == str(error):
                raise
            raise NextmartError(redact(f"{type(error).__name__}: {error}")) from None
        say(stage_line(job_name, job_summary_line(summary), time.monotonic() - started_at))
    row = {**summary, "detail": json.dumps(summary["detail"])}
    return pa.table({column: [value] for column, value in row.items()})
