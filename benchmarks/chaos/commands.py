"""Running commands of nextmart, each in a process group of its own that the campaign can kill and wait for."""

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

from benchmarks.chaos.broken_rule import BrokenRule

ROOT = Path(__file__).parents[2]
LONGEST_COMMAND_SECONDS = 240.0
MIN_NIGHTS_TO_WARM = 6
WARMING_OPTION = "--warmed"
"""Argument that makes the server of commands simulate a night before its first command, to fill caches."""
LONGEST_ORPHAN_SECONDS = 15.0
"""Time for which a child process may go on working after its parent process was killed."""


@dataclass
class CommandResult:
    """The result of a command that has ended: its exit code, output and times.

    Attributes
    ----------
    exit_code : int
        The exit code, or minus the number of the signal that killed the command.
    seconds, cpu_seconds : float
        Wall-clock time of the command, and CPU time of the command and its children.
    left_orphan_processes : bool
        Whether a child process still ran long after the command was killed.
    """

    arguments: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    left_orphan_processes: bool = False

    @property
    def output(self) -> str:
        """Standard output, followed by standard error."""
        return self.stdout + self.stderr

    def __str__(self) -> str:
        # only the last lines of the output say why a command failed
        last = "\n    ".join(self.output.strip().splitlines()[-25:])
        return f"nextmart {' '.join(self.arguments)} ended with {self.exit_code}:\n    {last}"


class CommandServer:
    """Starts commands of nextmart through a server process, which has all packages loaded and forks for each command.

    Parameters
    ----------
    output_folder : Path
        Folder for files with the output of commands, which are deleted once they are read.
    interposer_library, fault_file : Path or None
        The compiled library of ``interposer.c``, and the file that tells it which faults to inject. Without the
        library, the campaign has no faults of file system and clock.
    night_count : int
        Number of the campaign's nights. If there are many, the server simulates a night at its start, to fill caches
        that save time in all others.
    """

    def __init__(
        self, output_folder: Path, interposer_library: Path | None, fault_file: Path, night_count: int
    ) -> None:
        self.output_folder = output_folder
        self.command_count = 0
        self.results_by_pid: dict[int, tuple[int, float]] = {}
        self.started_pids: list[int] = []
        self.server_message = threading.Condition()
        preload = (
            {"LD_PRELOAD": str(interposer_library), "CHAOS_FAULT_FILE": str(fault_file)} if interposer_library else {}
        )
        # the server imports test helpers, which import each other as pytest's `pythonpath` allows, without a package
        paths = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "end_to_end"), os.environ.get("PYTHONPATH", "")]
        self.server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.chaos.forking_server",
                *([WARMING_OPTION] if night_count >= MIN_NIGHTS_TO_WARM else []),
            ],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths), **preload},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.server.stdout
        assert self.server.stdout.readline() == "ready\n", "the server of commands did not start"
        threading.Thread(target=self._read_server_messages, daemon=True).start()

    def close(self) -> None:
        """Kill the server process; it holds no data that could be lost."""
        self.server.kill()
        self.server.wait()

    def _read_server_messages(self) -> None:
        for line in self.server.stdout or ():
            word, pid, *numbers = line.split()
            with self.server_message:
                if word == "started":
                    self.started_pids.append(int(pid))
                    self.results_by_pid.pop(int(pid), None)  # an earlier command may have had the same process id
                else:
                    self.results_by_pid[int(pid)] = int(numbers[0]), float(numbers[1])
                self.server_message.notify_all()

    def start(self, *arguments: str, environment: dict[str, str], folder: Path) -> "RunningCommand":
        """Start ``nextmart`` with arguments and return the running command."""
        self.command_count += 1
        output_paths = [self.output_folder / f"{self.command_count}.{name}" for name in ("stdout", "stderr")]
        command = {
            "arguments": arguments,
            "folder": str(folder),
            "environment": environment,
            "outputs": list(map(str, output_paths)),
        }
        with self.server_message:
            known = len(self.started_pids)
            self.server.stdin.write(json.dumps(command) + "\n")
            self.server.stdin.flush()
            assert self.server_message.wait_for(lambda: len(self.started_pids) > known, 60), (
                "the server of commands is silent"
            )
            return RunningCommand(self, arguments, self.started_pids[-1], output_paths)

    def run(self, *arguments: str, environment: dict[str, str], folder: Path) -> CommandResult:
        """Run ``nextmart`` with arguments, wait for its end, and return the result."""
        return self.start(*arguments, environment=environment, folder=folder).wait()


@dataclass
class RunningCommand:
    """A command of nextmart that was started and can be waited for."""

    server: CommandServer
    arguments: tuple[str, ...]
    pid: int
    output_paths: list[Path]
    started_at: float = field(default_factory=time.monotonic)

    def wait(self, kill_after_seconds: float | None = None) -> CommandResult:
        """Wait for the command's end and return its result; kill its process group after ``kill_after_seconds``.

        Raises
        ------
        BrokenRule
            If the command has not ended after ``LONGEST_COMMAND_SECONDS`` seconds.
        """
        server = self.server
        with server.server_message:
            has_ended = server.server_message.wait_for(
                lambda: self.pid in server.results_by_pid, kill_after_seconds or LONGEST_COMMAND_SECONDS
            )
            if not has_ended:
                self._kill_process_group()
                if (
                    not server.server_message.wait_for(lambda: self.pid in server.results_by_pid, 30)
                    or kill_after_seconds is None
                ):
                    raise BrokenRule(
                        "each command ends", f"{self.arguments} did not in {LONGEST_COMMAND_SECONDS:.0f} seconds"
                    )
            exit_code, cpu_seconds = server.results_by_pid[self.pid]
            # the server reports the end of each orphan too, and at each report the condition is checked again
            has_orphans = exit_code < 0 and not server.server_message.wait_for(
                self._is_process_group_gone, LONGEST_ORPHAN_SECONDS
            )
        if has_orphans:
            self._kill_process_group()
        texts = [path.read_text(errors="replace") if path.exists() else "" for path in self.output_paths]
        for path in self.output_paths:
            path.unlink(missing_ok=True)
        stdout, stderr = (re.sub("\x1b\\[[0-9;]*m", "", text) for text in texts)
        seconds = time.monotonic() - self.started_at
        return CommandResult(self.arguments, exit_code, stdout, stderr, seconds, cpu_seconds, has_orphans)

    def _kill_process_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _is_process_group_gone(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return True
        return False
