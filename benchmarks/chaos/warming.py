"""One night inside the server of commands, before the campaign: it fills caches that each command then finds filled.

Each command is a fork of the server, and a new process of dbt would compile Python code for each class of its manifest,
and Jinja templates for each macro and model. A fork has the compiled code already. Each command still reads, parses and
writes its own files. Jobs don't run in this night, because they read tables with polars, whose threads a fork lacks.
"""

import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from warm_builds import build_in_this_process

from benchmarks.chaos.configuration import Configuration
from benchmarks.chaos.service import Service
from benchmarks.chaos.shop import Shop
from jobs import cli
from jobs.settings import load_settings


def live_through_a_night() -> None:
    """Load, build, publish and maintain a simulated shop in a folder that is deleted afterwards; leave no file open.

    Raises
    ------
    AssertionError
        If a step fails.
    """
    with tempfile.TemporaryDirectory(prefix="chaos-warming-") as name, closing(Service()) as service:
        folder = Path(name)
        Configuration().write(folder)
        with (
            _in_folder(folder, service.environment),
            (folder / "said").open("w") as said,
            redirect_stdout(said),
            redirect_stderr(said),
        ):
            Shop(folder, seed=0).deliver(0, set())
            _run_command("load")
            _run_build(folder)
            _run_command("publish")
            _run_command("maintain")
    gc.collect()
    # without the freeze, garbage collection in a fork would write to every page of memory, and so copy the pages
    gc.freeze()


@contextmanager
def _in_folder(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    kept_folder, kept_environment, kept_arguments = Path.cwd(), dict(os.environ), sys.argv
    os.chdir(folder)
    os.environ.update(environment)
    try:
        yield
    finally:
        os.chdir(kept_folder)
        os.environ.clear()
        os.environ.update(kept_environment)
        sys.argv = kept_arguments


def _run_command(*arguments: str) -> None:
    sys.argv = ["nextmart", *arguments]
    try:
        cli.main()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    assert code == 0, f"nextmart {' '.join(arguments)} failed: {Path('said').read_text()}"


def _run_build(folder: Path) -> None:
    settings = load_settings()
    os.environ |= settings.as_environment() | {"DO_NOT_TRACK": "1"}
    build_in_this_process(folder, settings.vars)
