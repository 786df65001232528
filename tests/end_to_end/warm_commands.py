"""Commands of nextmart in new processes that have its packages at hand.

A night on a tiny shop takes less time than the imports of dbt, PyTorch and the embedding library. So one process
imports them, and each command is a fork of it: a process of its own, with its own folder, environment and output, that
runs the command's own code. The commands of the README are the installed ones instead, and so is one of the nights that
are killed.
"""

import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from multiprocessing import forkserver, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TextIO
from unittest.mock import patch


def run_warm(arguments: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess:
    """Run ``nextmart`` with arguments in a folder, and return its exit code and what it wrote."""
    return _run_to_end(run_command, arguments, folder, environment)


def build_warm(dbt_arguments: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess:
    """Run the build of ``nextmart run`` with more arguments for dbt; return its exit code and what it wrote."""
    return _run_to_end(run_build, dbt_arguments, folder, environment)


def _run_to_end(
    function: Callable[..., None], arguments: list[str], folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess:
    with tempfile.TemporaryDirectory() as outputs:
        paths = [Path(outputs) / name for name in ("stdout", "stderr")]
        process = _start(function, arguments, folder, environment, paths)
        process.join()
        stdout, stderr = (path.read_text() for path in paths)
    return subprocess.CompletedProcess(arguments, process.exitcode, stdout, stderr)


def start_warm(
    arguments: list[str], folder: Path, environment: dict[str, str], outputs: list[Path], *, leads_group: bool = False
) -> BaseProcess:
    """Start ``nextmart`` with files for what it writes, and return its process, which may lead a process group."""
    return _start(run_command_as_group if leads_group else run_command, arguments, folder, environment, outputs)


def _start(function: Callable[..., None], *arguments: Any) -> BaseProcess:
    context = get_context("forkserver")
    context.set_forkserver_preload(["warm_packages"])
    # the server takes the path of modules from the environment alone, and says nothing if it can't import one
    with patch.dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))):
        forkserver.ensure_running()
    process = context.Process(target=function, args=arguments)
    process.start()
    return process


def run_command_as_group(*command: Any) -> None:
    """Run a command as :func:`run_command` does, in a new process group, so that it can be killed with its build."""
    os.setsid()
    run_command(*command)


def run_command(arguments: list[str], folder: Path, environment: dict[str, str], outputs: list[Path]) -> None:
    """Run a command in this process, with the given folder, environment and output, and exit with its exit code."""
    from jobs import cli

    _enter(folder, environment, outputs)
    sys.argv = ["nextmart", *arguments]
    cli.main()


def run_build(dbt_arguments: list[str], folder: Path, environment: dict[str, str], outputs: list[Path]) -> None:
    """Run the build of ``nextmart run`` alone, as :func:`run_command` runs a command."""
    from jobs.orchestration.dbt_build import run_dbt_build
    from jobs.settings import load_settings

    _enter(folder, environment, outputs)
    run_dbt_build(load_settings(), tuple(dbt_arguments))


def _enter(folder: Path, environment: dict[str, str], outputs: list[Path]) -> None:
    """Give this process its folder, environment and output."""
    from jobs.orchestration import dbt_build

    for descriptor, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    dbt_build.subprocess = _Subprocess  # the build is a process of its own, which need not import dbt again


class _Subprocess:
    """What ``jobs.orchestration.dbt_build`` uses of the module ``subprocess``."""

    PIPE = subprocess.PIPE

    class Popen:
        """A fork of this process that runs the code of ``python -c code argument…`` and writes to a pipe."""

        def __init__(
            self,
            command: list[str],
            *,
            env: dict[str, str],
            encoding: str,
            errors: str,
            stdin: int,
            stdout: int,
            pass_fds: tuple[int, ...],
        ):
            reading, writing = os.pipe()
            self._end_of_parent, self._stdin = os.pipe()
            self.pid = os.fork()
            if self.pid == 0:
                os.close(self._stdin)
                os.dup2(self._end_of_parent, 0)
                os.dup2(writing, 1)
                os.environ.clear()
                os.environ.update(env)
                sys.argv = command[2:]
                os._exit(_exit_code(command[2]))
            os.close(writing)
            self.stdout: TextIO = os.fdopen(reading, encoding=encoding, errors=errors)
            self.returncode: int | None = None

        def wait(self) -> None:
            if self.returncode is None:
                self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

        def __enter__(self) -> "_Subprocess.Popen":
            return self

        def __exit__(self, *error: object) -> None:
            self.stdout.close()
            os.close(self._stdin)
            self.wait()


def _exit_code(code: str) -> int:
    """Run Python code that ends with ``sys.exit``, and return the exit code."""
    from warm_builds import shared_between_builds  # here: the process that asks for commands has no use for dbt

    gc.disable()  # the process ends soon
    try:
        with shared_between_builds(sys.argv):
            exec(code, {})
    except SystemExit as ended:
        return int(ended.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0
