"""Commands of nextmart, each in a process group that the campaign can disturb, kill and wait for."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.chaos.difference import Difference

ROOT = Path(__file__).parents[2]
LONGEST_COMMAND_SECONDS = 240.0
NIGHTS_WORTH_WARMING = 6
WARMED = "--warmed"
"""Argument with which the server of commands lives through a night before its first command."""
LONGEST_ORPHAN_SECONDS = 15.0
"""Time for which a child process may go on working after its parent process was killed."""


@dataclass
class Ended:
    """A command that has ended.

    Attributes
    ----------
    code : int
        Its exit code, or minus the signal that killed it.
    seconds, cpu_seconds : float
        How long it took, and how long it and its children used a processor.
    left_orphans : bool
        Whether a child of the command was still at work long after the command was killed.
    """

    arguments: tuple[str, ...]
    code: int
    stdout: str
    stderr: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    left_orphans: bool = False

    @property
    def said(self) -> str:
        """All that the command printed."""
        return self.stdout + self.stderr

    def __str__(self) -> str:
        # the last lines of the output say why a command failed; the lines of dbt's stages before them say little
        last = "\n    ".join(self.said.strip().splitlines()[-25:])
        return f"nextmart {' '.join(self.arguments)} ended with {self.code}:\n    {last}"


class Commands:
    """Runs commands of nextmart through a server, which has all packages loaded and forks itself for each command.

    Parameters
    ----------
    scratch : Path
        Folder of files with the output of commands, until the output is read.
    library, orders : Path or None
        The compiled library of ``interposer.c``, and the file of the orders that the library obeys; None: the campaign
        has no faults of files, disk and clock.
    nights : int
        Number of the campaign's nights. Before many nights, the server lives through a night of its own first, which
        saves time.
    """

    def __init__(self, scratch: Path, library: Path | None, orders: Path, nights: int) -> None:
        self.scratch = scratch
        self.number = 0
        self.ended: dict[int, tuple[int, float]] = {}
        self.started: list[int] = []
        self.news = threading.Condition()
        preload = {"LD_PRELOAD": str(library), "CHAOS_ORDERS": str(orders)} if library else {}
        # helpers of tests import each other by their bare names, as pytest's `pythonpath` lets them
        paths = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "end_to_end"), os.environ.get("PYTHONPATH", "")]
        self.server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.chaos.server",
                *([WARMED] if nights >= NIGHTS_WORTH_WARMING else []),
            ],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths), **preload},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.server.stdout
        assert self.server.stdout.readline() == "ready\n", "the server of commands did not start"
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """End the server, which has nothing to lose."""
        self.server.kill()
        self.server.wait()

    def _listen(self) -> None:
        for line in self.server.stdout or ():
            word, pid, *numbers = line.split()
            with self.news:
                if word == "started":
                    self.started.append(int(pid))
                    self.ended.pop(int(pid), None)  # an earlier command may have had the same process id
                else:
                    self.ended[int(pid)] = int(numbers[0]), float(numbers[1])
                self.news.notify_all()

    def start(self, *arguments: str, environment: dict[str, str], folder: Path) -> "Running":
        """Start ``nextmart`` with arguments."""
        self.number += 1
        outputs = [self.scratch / f"{self.number}.{name}" for name in ("stdout", "stderr")]
        order = {
            "arguments": arguments,
            "folder": str(folder),
            "environment": environment,
            "outputs": list(map(str, outputs)),
        }
        with self.news:
            known = len(self.started)
            self.server.stdin.write(json.dumps(order) + "\n")
            self.server.stdin.flush()
            assert self.news.wait_for(lambda: len(self.started) > known, 60), "the server of commands is silent"
            return Running(self, arguments, self.started[-1], outputs)

    def call(self, *arguments: str, environment: dict[str, str], folder: Path) -> Ended:
        """Run ``nextmart`` with arguments to its end."""
        return self.start(*arguments, environment=environment, folder=folder).wait()


@dataclass
class Running:
    """A command that was started."""

    commands: Commands
    arguments: tuple[str, ...]
    pid: int
    outputs: list[Path]
    started_at: float = field(default_factory=time.monotonic)

    def wait(self, kill_after: float | None = None) -> Ended:
        """Wait for the end; with ``kill_after`` seconds, kill the whole group then.

        Raises
        ------
        Difference
            If the command does not end.
        """
        commands = self.commands
        with commands.news:
            has_ended = commands.news.wait_for(
                lambda: self.pid in commands.ended, kill_after or LONGEST_COMMAND_SECONDS
            )
            if not has_ended:
                self._kill_group()
                if not commands.news.wait_for(lambda: self.pid in commands.ended, 30) or kill_after is None:
                    raise Difference(
                        "each command ends", f"{self.arguments} did not in {LONGEST_COMMAND_SECONDS:.0f} seconds"
                    )
            code, cpu_seconds = commands.ended[self.pid]
            # the server also tells when orphans of the command end
            left = code < 0 and not commands.news.wait_for(self._group_is_gone, LONGEST_ORPHAN_SECONDS)
        if left:
            self._kill_group()
        texts = [path.read_text(errors="replace") if path.exists() else "" for path in self.outputs]
        for path in self.outputs:
            path.unlink(missing_ok=True)
        stdout, stderr = (re.sub("\x1b\\[[0-9;]*m", "", text) for text in texts)
        seconds = time.monotonic() - self.started_at
        return Ended(self.arguments, code, stdout, stderr, seconds, cpu_seconds, left)

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _group_is_gone(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return True
        return False
