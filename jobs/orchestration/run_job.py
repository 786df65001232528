"""Starting a job by its name; both the command line and dbt start jobs here."""

from collections.abc import Callable
from typing import Any

from jobs.settings import Settings
from jobs.warehouse.connection import Connection, prepare_warehouse
from jobs.warehouse.job_runs import job_run


def run(name: str, connection: Connection, settings: Settings, **options: Any) -> dict[str, Any]:
    """Run one job, record it in ``ml.job_runs`` and return its summary; ``options`` are its further arguments."""
    # imported here: a job with nothing to do must not pay for loading torch
    job: Callable[..., None]
    if name == "embed":
        from jobs.embedding.backfill import embed as job
    elif name == "train":
        from jobs.nightly.train import train as job
    elif name == "evaluate":
        from jobs.nightly.evaluate import evaluate as job
    elif name == "recommend":
        from jobs.nightly.recommend import recommend as job
    elif name == "pin":
        from jobs.nightly.promotion import pin as job
    elif name == "unpin":
        from jobs.nightly.promotion import unpin as job
    elif name == "rollback":
        from jobs.nightly.promotion import rollback as job
    else:
        raise ValueError(f"no job is called {name}")
    prepare_warehouse(connection)
    with job_run(connection, name) as run_record:
        job(connection, settings, run_record, **options)
    return run_record.summary()
