"""`nextmart run`: dbt builds and tests everything, jobs included; what passed is published."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from jobs.errors import NextmartError, redact
from jobs.files import project_folder
from jobs.orchestration.dbt_events import BuildProgress
from jobs.orchestration.dbt_failures import failures
from jobs.progress import say, stage_line
from jobs.settings import Settings


def dbt_build(settings: Settings, extra: tuple[str, ...] = (), *, verbose: bool = False) -> None:
    """Run ``dbt build`` in a process of its own, which gives the warehouse back when it ends.

    People see a line for each stage, and what failed; dbt's own log goes to a file and, with ``verbose``, to stderr.

    Raises
    ------
    NextmartError
        If a model or a test failed.
    """
    project = project_folder("dbt_project")
    work = settings.work_folder.absolute()
    target = work / "target"
    (target / "run_results.json").unlink(missing_ok=True)  # of the build before: this one may end without any
    # not inherited from `python -m`: the working folder must not shadow packages
    command = [
        sys.executable, "-c", "import sys; from dbt.cli.main import cli; sys.exit(cli())", "--log-format", "json",
        "build", "--project-dir", str(project), "--profiles-dir", str(project),
        "--target-path", str(target), "--log-path", str(work / "logs"), "--log-format-file", "text",
        # unit tests check the SQL, not tonight's data: they belong to `make test`
        "--exclude-resource-type", "unit_test", "--vars", json.dumps(settings.vars), *extra,
    ]  # fmt: skip
    environment = {**os.environ, **settings.as_environment(), "DO_NOT_TRACK": "1"}
    with subprocess.Popen(  # noqa: S603 - the command is made above
        command, stdout=subprocess.PIPE, env=environment, encoding="utf-8", errors="replace"
    ) as build:
        assert build.stdout is not None  # noqa: S101 - it is piped
        for line in log_lines(build.stdout, target / "manifest.json", verbose):
            say(line)
    if build.returncode:
        for text in failures(target, settings.warehouse):
            say(text)
        raise NextmartError(
            "dbt build failed, so nothing was published; the file published before stays. "
            f"Log: {work / 'logs' / 'dbt.log'}"
        )


def log_lines(log: Iterable[str], manifest: Path, verbose: bool) -> Iterator[str]:
    """Yield what people see of dbt's log: with ``verbose`` every message, else stages, warnings and errors.

    Parameters
    ----------
    log : lines
        JSON events; a line that is none (printed by a package, for example) is yielded as it is.
    manifest : Path
        Read when dbt begins to build, by when dbt has written it.
    """
    stages: BuildProgress | None = None
    began_at: datetime | None = None
    for line in log:
        try:
            event = json.loads(line)
            name, message, level = (event["info"][key] for key in ("name", "msg", "level"))
        except (ValueError, KeyError, TypeError):
            yield redact(line.rstrip("\n"))
            continue
        at = datetime.fromisoformat(event["info"]["ts"])
        began_at = began_at or at
        if name == "FoundStats" and not verbose:
            models_and_tests = ", ".join(event["data"]["stat_line"].split(", ")[:2])
            yield stage_line("project", models_and_tests, (at - began_at).total_seconds())
        if name == "ConcurrencyLine":
            stages = BuildProgress(json.loads(manifest.read_text(encoding="utf-8")))
        if verbose or (stages is None and level == "error"):
            yield redact(message)
        elif stages and (text := stages.follow(event)):
            yield text


def counts_of(summary: dict[str, Any]) -> str:
    """Return a summary's published row counts as a line for people."""
    return ", ".join(f"{count:,} {table}" for table, count in summary["detail"]["rows"].items())
