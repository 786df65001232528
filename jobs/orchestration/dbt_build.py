"""The build of `nextmart run`: dbt builds and tests all tables and runs the jobs in a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from jobs.errors import NextmartError, redact
from jobs.files import project_folder
from jobs.orchestration.dbt_events import BuildProgress
from jobs.orchestration.dbt_failures import failure_texts, fatal_error_text
from jobs.progress import say, stage_line
from jobs.settings import Settings
from jobs.warehouse.error_advice import error_advice
from jobs.warehouse.lock import HELD_BY_RUN, warehouse_lock

MAX_SECONDS_TO_END_BUILD = 5.0
BUILD_CODE = "from jobs.orchestration.dbt_child import main; main()"
DBT_LOG_FILES = 6
"""The number of log files that dbt keeps: the present file and five older ones."""


def run_dbt_build(settings: Settings, extra_arguments: tuple[str, ...] = (), *, verbose: bool = False) -> None:
    """Run ``dbt build`` in a process of its own, which holds the warehouse until it ends.

    People see a line for each stage, and each failure. dbt's own log goes to a file and, with ``verbose``, to stderr
    too. Meanwhile this process has the lock of the warehouse. If this process is killed, the build notices, ends
    itself, and keeps the lock until then.

    Raises
    ------
    NextmartError
        If a model or a test failed, the build was killed, or another command holds the warehouse.
    KeyboardInterrupt
        If this process was interrupted: the build is ended first, and people are told what was committed.
    """
    project = project_folder("dbt_project")
    work_folder = settings.work_folder.absolute()
    target = work_folder / "target"
    # the results of the previous build are deleted, because this build may end without writing any
    (target / "run_results.json").unlink(missing_ok=True)
    command = [
        sys.executable, "-c", BUILD_CODE, "--log-format", "json",
        # no colour codes: nextmart makes its own lines out of dbt's messages, and a log file shows no colours
        "--no-use-colors", "--no-use-colors-file",
        "build", "--project-dir", str(project), "--profiles-dir", str(project),
        "--target-path", str(target), "--log-path", str(work_folder / "logs"), "--log-format-file", "text",
        "--log-file-max-bytes", str(round(settings.log_megabytes * 1e6 / DBT_LOG_FILES)),
        # dbt's unit tests are left out, because they check the SQL, not the night's data; `make test` runs them
        "--exclude-resource-type", "unit_test", "--vars", json.dumps(settings.vars), *extra_arguments,
    ]  # fmt: skip
    environment = {**os.environ, **settings.as_environment(), "DO_NOT_TRACK": "1", HELD_BY_RUN: str(os.getpid())}
    log = BuildLog(target / "manifest.json", verbose)
    with (
        warehouse_lock(settings.warehouse, settings.wait_seconds) as lock,
        subprocess.Popen(  # noqa: S603 - the command is made above
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, encoding="utf-8", errors="replace",
            pass_fds=lock.file_descriptors(),
        ) as build,
    ):  # fmt: skip
        assert build.stdout is not None  # noqa: S101 - it is piped
        try:
            lock.record_build_pid(build.pid)
            for line in log.terminal_lines(build.stdout):
                say(line)
            build.wait()
        except KeyboardInterrupt:
            _end_build(build)
            say(
                "the build was interrupted, so nothing was published; the file published before stays. "
                + log.describe_committed_work()
            )
            raise
    if build.returncode < 0:
        raise NextmartError(
            f"the dbt build was killed ({_signal_name(-build.returncode)}) by the system or another process, so "
            "nothing was published; the file published before stays. If nobody killed it, the machine probably had "
            f"too little memory left. {log.describe_committed_work()} `nextmart run` goes on from there"
        )
    if build.returncode:
        failures = list(failure_texts(target, settings.warehouse, settings.attach))
        for text in failures:
            say(text)
        raise NextmartError(
            "dbt build failed, so nothing was published; the file published before stays. "
            f"Log: {work_folder / 'logs' / 'dbt.log'}{error_advice(' '.join(failures))}"
        )


def _signal_name(number: int) -> str:
    """Return the name of a signal, such as ``SIGKILL``."""
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name in the module signal
        return f"signal {number}"


def _end_build(build_process: subprocess.Popen[str]) -> None:
    """Ask the process of a build to end; kill it if it has not ended within ``MAX_SECONDS_TO_END_BUILD``."""
    build_process.terminate()
    try:
        build_process.wait(MAX_SECONDS_TO_END_BUILD)
    except subprocess.TimeoutExpired:
        build_process.kill()
        build_process.wait()


class BuildLog:
    """The log of one dbt build, as dbt writes it.

    Parameters
    ----------
    manifest_file : Path
        Path of dbt's ``manifest.json``. It is read when dbt starts to build models, because dbt has written it by then.
    verbose : bool
        Whether people see every message of dbt.
    """

    def __init__(self, manifest_file: Path, verbose: bool) -> None:
        self._manifest = manifest_file
        self._verbose = verbose
        self._progress: BuildProgress | None = None

    def terminal_lines(self, log_lines: Iterable[str]) -> Iterator[str]:
        """Yield the lines of the log that people see: with ``verbose`` every message, else stages, warnings and errors.

        Parameters
        ----------
        log_lines : iterable of str
            Lines of dbt's log, each a JSON event. A line that is not JSON (printed by a package, for example) is
            yielded as it is, but with secrets replaced.
        """
        began_at: datetime | None = None
        for line in log_lines:
            try:
                event = json.loads(line)
                name, message, level = (event["info"][key] for key in ("name", "msg", "level"))
            except (ValueError, KeyError, TypeError):
                yield redact(line.rstrip("\n"))
                continue
            at = datetime.fromisoformat(event["info"]["ts"])
            began_at = began_at or at
            if name == "FoundStats" and not self._verbose:
                models_and_tests = ", ".join(event["data"]["stat_line"].split(", ")[:2])
                yield stage_line("project", models_and_tests, (at - began_at).total_seconds())
            if name == "ConcurrencyLine":
                self._progress = BuildProgress(json.loads(self._manifest.read_text(encoding="utf-8")))
            shown = list(self._progress.process_event(event)) if self._progress else []
            if name == "MainEncounteredError" and not self._verbose:
                yield redact(fatal_error_text(message))
            elif self._verbose or (self._progress is None and level == "error"):
                yield redact(message)
            else:
                yield from shown

    def describe_committed_work(self) -> str:
        """Return a sentence for people: which tables a build has committed so far, if it ends now."""
        return self._progress.describe_committed_work() if self._progress else "No table was built."


def published_counts_line(publish_run_summary: dict[str, Any]) -> str:
    """Return the row counts of the published tables as one line for people."""
    return ", ".join(f"{count:,} {table}" for table, count in publish_run_summary["detail"]["rows"].items())
