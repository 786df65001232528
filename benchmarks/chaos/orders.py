"""The faults of the file system and the clock, ordered through memory that ``interposer.c`` reads in every process."""

import ctypes
import mmap
import shutil
import subprocess
from enum import IntEnum
from pathlib import Path

SOURCE = Path(__file__).with_name("interposer.c")


class Call(IntEnum):
    """The system calls at which a fault can happen."""

    WRITE = 0
    FSYNC = 1
    RENAME = 2
    UNLINK = 3


class Action(IntEnum):
    """What happens at the call. TEAR_AND_KILL writes half of the bytes first; DISK_FULL lasts until the orders end."""

    NOTHING = 0
    KILL_GROUP = 1
    KILL_PROCESS = 2
    TEAR_AND_KILL = 3
    DISK_FULL = 4
    CLOCK_JUMP = 5


class _Layout(ctypes.Structure):
    """``struct orders`` of ``interposer.c``."""

    _fields_ = (
        ("clock_offset", ctypes.c_int64),
        ("clock_jump", ctypes.c_int64),
        ("countdown", ctypes.c_int64),
        ("counted", ctypes.c_int64 * len(Call)),
        ("action", ctypes.c_int32),
        ("call", ctypes.c_int32),
        ("fired", ctypes.c_int32),
        ("disk_is_full", ctypes.c_int32),
        ("folder", ctypes.c_char * 512),
        ("fired_path", ctypes.c_char * 512),
    )


class Orders:
    """What the processes of the campaign have to suffer. Change it only while none of them runs, except to end it."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(ctypes.sizeof(_Layout)))
        with path.open("r+b") as file:
            self._shared = _Layout.from_buffer(mmap.mmap(file.fileno(), 0))
        self.path = path

    def watch(self, folder: Path) -> None:
        """Let what is ordered happen to the files below this folder."""
        self._shared.folder = str(folder.resolve()).encode()

    def set_clock(self, offset_seconds: float) -> None:
        """Let the processes' clock differ from this machine's."""
        self._shared.clock_offset = round(offset_seconds * 1e9)

    def give(self, action: Action, call: Call, number: int, clock_jump_seconds: float = 0) -> None:
        """Order ``action`` for the call with this number, counted from 1 in all processes together."""
        self._shared.clock_jump = round(clock_jump_seconds * 1e9)
        self._shared.call, self._shared.countdown, self._shared.fired = call, number, 0
        self._shared.action = action

    def end(self) -> None:
        """Let all be well again: nothing is ordered, and the disk has room."""
        self._shared.action, self._shared.disk_is_full, self._shared.fired = Action.NOTHING, 0, 0

    def start_counting(self) -> None:
        """Forget the calls that were counted."""
        self._shared.counted = (ctypes.c_int64 * len(Call))()

    def counted(self) -> dict[Call, int]:
        """Return the number of calls since the counting started."""
        return {call: self._shared.counted[call] for call in Call}

    @property
    def fired_at(self) -> str | None:
        """The file at which the ordered fault happened; None if it has not happened."""
        return self._shared.fired_path.decode(errors="replace") if self._shared.fired else None


def interposer(folder: Path) -> Path | None:
    """Compile ``interposer.c`` into a folder and return the library; None where there is no compiler, or no Linux."""
    compiler = shutil.which("cc")
    library = folder / "interposer.so"
    if not compiler or not Path("/proc/self/fd").exists():
        return None
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl"]
    return library if subprocess.run(command, check=False, capture_output=True).returncode == 0 else None
