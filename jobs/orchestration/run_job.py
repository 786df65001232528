"""Starts a job by its name; both the command line and dbt start jobs here."""

from collections.abc import Callable
from typing import Any

from jobs.settings import Settings
from jobs.warehouse.connection import Connection, prepare_warehouse
from jobs.warehouse.job_runs import job_run


def run_job(job_name: str, connection: Connection, settings: Settings, **options: Any) -> dict[str, Any]:
    """Run one job, record it in ``ml.job_runs`` and return its summary; ``options`` are passed on to the job."""
    # only the job that runs is imported, because most jobs import torch, which is slow to load
    job: Callable[..., None]
    if job_name == "embed":
        from jobs.embedding.backfill import embed as job
    elif job_name == "train":
        from jobs.nightly.train import train as job
    elif job_name == "evaluate":
        from jobs.nightly.evaluate import evaluate as job
    elif job_name == "recommend":
        from jobs.nightly.recommend import recommend as job
    elif job_name == "place":
        from jobs.nightly.placements import fill_placements as job
    elif job_name == "pin":
        from jobs.nightly.promotion import pin as job
    elif job_name == "unpin":
        from jobs.nightly.promotion import unpin as job
    elif job_name == "rollback":
        from jobs.nightly.promotion import rollback as job
    else:
        raise ValueError(f"no job is called {job_name}")
    prepare_warehouse(connection)
    with job_run(connection, job_name) as run_record:
        job(connection, settings, run_record, **options)
    return run_record.as_dictionary()
