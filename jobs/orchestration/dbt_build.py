"""`nextmart run`: dbt builds and tests everything, jobs included; what passed is published."""

import json
import os
import subprocess
import sys
from typing import Any

from jobs.errors import NextmartError
from jobs.files import project_folder
from jobs.settings import Settings


def dbt_build(settings: Settings, extra: tuple[str, ...] = ()) -> None:
    """Run ``dbt build`` in a process of its own, which gives the warehouse back when it ends.

    Raises
    ------
    NextmartError
        If a model or a test failed; dbt has said which on stderr.
    """
    project = project_folder("dbt_project")
    work = settings.work_folder.absolute()
    # not inherited from `python -m`: the working folder must not shadow packages
    command = [
        sys.executable, "-c", "import sys; from dbt.cli.main import cli; sys.exit(cli())",
        "build", "--project-dir", str(project), "--profiles-dir", str(project),
        "--target-path", str(work / "target"), "--log-path", str(work / "logs"),
        # unit tests check the SQL, not tonight's data: they belong to `make test`
        "--exclude-resource-type", "unit_test", "--vars", json.dumps(settings.vars), *extra,
    ]  # fmt: skip
    environment = {**os.environ, **settings.as_environment(), "DO_NOT_TRACK": "1"}
    finished = subprocess.run(command, stdout=sys.stderr, env=environment, check=False)  # noqa: S603
    if finished.returncode:
        raise NextmartError(
            "dbt build failed, so nothing was published; the file published before stays. "
            f"Log: {work / 'logs' / 'dbt.log'}"
        )


def counts_of(summary: dict[str, Any]) -> str:
    """Return a summary's published row counts as a line for people."""
    return ", ".join(f"{count:,} {table}" for table, count in summary["detail"]["rows"].items())
