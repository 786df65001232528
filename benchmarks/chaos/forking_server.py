"""A server process that has loaded nextmart's packages, and forks a process group for each command that it runs.

Each line of its standard input is a JSON object with a command's ``arguments``, ``folder``, ``environment`` and
``outputs`` (the paths of its standard output and error). The server prints ``started PID`` for each command. At the end
of every child process it prints ``ended PID CODE CPU_SECONDS``; children that a killed command has left behind count
too. The server is started with ``LD_PRELOAD``, so that faults can be injected.
"""

import ctypes
import gc
import json
import os
import select
import signal
import sys
import traceback
from importlib import import_module
from pathlib import Path

from benchmarks.chaos.commands import WARMING_OPTION
from tests.end_to_end.warm_commands import run_command

PACKAGES = (
    "dbt.adapters.duckdb", "dbt.cli.main", "quick_dbt", "warm_builds",
    "jobs.cli", "jobs.embedding.providers.openai", "jobs.nightly.evaluate", "jobs.nightly.recommend",
    "jobs.nightly.train",
)  # fmt: skip
"""Modules that the server imports before it forks. The packages for local embeddings, whose import takes longest, are
not among them, because the campaign's models don't need them."""
PR_SET_CHILD_SUBREAPER = 36


def _print_message(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def _report_ended_children() -> None:
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _print_message("ended", pid, os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime)


def _run_command_in_fork(command_request: dict) -> None:
    """Run a command in this process, which was just forked, and end the process with the command's exit code."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    code = 1
    try:
        run_command(
            command_request["arguments"],
            Path(command_request["folder"]),
            command_request["environment"],
            list(map(Path, command_request["outputs"])),
        )
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Load the packages, then run the commands that standard input names until it ends."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for name in PACKAGES:
        import_module(name)
    sys.modules["quick_dbt"].make_dbt_quick()  # `warm_builds` imports the module by this name
    gc.freeze()  # else garbage collection in a fork would copy every page of memory
    if WARMING_OPTION in sys.argv:
        from benchmarks.chaos.warming import run_warming_night

        run_warming_night()
    child_ended = _pipe_of_ended_children()
    _print_message("ready")
    unfinished_line = b""
    while True:
        ready, _, _ = select.select([0, child_ended], [], [])
        if child_ended in ready:
            os.read(child_ended, 4096)
            _report_ended_children()
        if 0 in ready:
            if not (read := os.read(0, 1 << 20)):
                return
            *lines, unfinished_line = (unfinished_line + read).split(b"\n")
            for line in lines:
                if (pid := os.fork()) == 0:
                    _run_command_in_fork(json.loads(line))
                _print_message("started", pid)


def _pipe_of_ended_children() -> int:
    """Return the descriptor of a pipe that gets a byte whenever a child process ends.

    A handler of the signal in Python would not do: if the signal came just before the process waits for the next line,
    the handler would run only after that line.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reading


if __name__ == "__main__":
    main()
