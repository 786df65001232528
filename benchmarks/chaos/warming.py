"""A night that the server of commands simulates before the campaign, to fill caches in its memory.

Each command of the campaign is a fork of the server, and finds these caches filled. A new process of dbt would have to
compile Python code for each class of its manifest, and Jinja templates for each macro and model. Each command still
reads, parses and writes its own files. The night runs no jobs, because they use polars, whose threads would be missing
in the forks.
"""

import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from warm_builds import build_in_this_process

from benchmarks.chaos.fake_embedding_service import FakeEmbeddingService
from benchmarks.chaos.shop import SimulatedShop
from benchmarks.chaos.shop_settings import ShopSettings
from jobs import cli
from jobs.settings import load_settings


def run_warming_night() -> None:
    """Run load, build, publish and maintain for a simulated shop, in a folder that is deleted afterwards.

    No file stays open.

    Raises
    ------
    AssertionError
        If a command fails.
    """
    with tempfile.TemporaryDirectory(prefix="chaos-warming-") as name, closing(FakeEmbeddingService()) as service:
        folder = Path(name)
        ShopSettings().write(folder)
        with (
            _working_in_folder(folder, service.environment),
            (folder / "said").open("w") as output,
            redirect_stdout(output),
            redirect_stderr(output),
        ):
            SimulatedShop(folder, seed=0).deliver_files(0, set())
            _run_command("load")
            _run_build(folder)
            _run_command("publish")
            _run_command("maintain")
    gc.collect()
    # else garbage collection in a fork would write to every page of memory, and so copy the page
    gc.freeze()


@contextmanager
def _working_in_folder(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    previous_folder, previous_environment, previous_arguments = Path.cwd(), dict(os.environ), sys.argv
    os.chdir(folder)
    os.environ.update(environment)
    try:
        yield
    finally:
        os.chdir(previous_folder)
        os.environ.clear()
        os.environ.update(previous_environment)
        sys.argv = previous_arguments


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
