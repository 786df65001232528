"""The faults of the file system and the clock, handed over in memory that ``interposer.c`` reads in every process."""

import ctypes
import mmap
import shutil
import subprocess
from enum import IntEnum
from pathlib import Path

SOURCE = Path(__file__).with_name("interposer.c")


class SystemCall(IntEnum):
    """The system calls at which a fault can happen."""

    WRITE = 0
    FSYNC = 1
    RENAME = 2
    UNLINK = 3


class FaultAction(IntEnum):
    """What happens at the call.

    TEAR_AND_KILL writes half of the bytes first; DISK_FULL lasts until the faults are cleared.
    """

    NOTHING = 0
    KILL_GROUP = 1
    KILL_PROCESS = 2
    TEAR_AND_KILL = 3
    DISK_FULL = 4
    CLOCK_JUMP = 5


class _SharedMemory(ctypes.Structure):
    """``struct faults`` of ``interposer.c``."""

    _fields_ = (
        ("clock_offset", ctypes.c_int64),
        ("clock_jump", ctypes.c_int64),
        ("countdown", ctypes.c_int64),
        ("call_counts", ctypes.c_int64 * len(SystemCall)),
        ("action", ctypes.c_int32),
        ("call", ctypes.c_int32),
        ("has_fired", ctypes.c_int32),
        ("disk_is_full", ctypes.c_int32),
        ("folder", ctypes.c_char * 512),
        ("fired_path", ctypes.c_char * 512),
    )


class FaultInjector:
    """The faults that the processes of the campaign have to suffer.

    Change them only while none of the processes runs, except to clear them.
    """

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(ctypes.sizeof(_SharedMemory)))
        with path.open("r+b") as file:
            self._shared = _SharedMemory.from_buffer(mmap.mmap(file.fileno(), 0))
        self.path = path

    def limit_to_folder(self, folder: Path) -> None:
        """Let faults happen to the files below this folder alone."""
        self._shared.folder = str(folder.resolve()).encode()

    def shift_clock(self, offset_seconds: float) -> None:
        """Let the processes' clock differ from this machine's."""
        self._shared.clock_offset = round(offset_seconds * 1e9)

    def inject(self, action: FaultAction, call: SystemCall, call_number: int, clock_jump_seconds: float = 0) -> None:
        """Let ``action`` happen at the call with this number, counted from 1 in all processes together."""
        self._shared.clock_jump = round(clock_jump_seconds * 1e9)
        self._shared.call, self._shared.countdown, self._shared.has_fired = call, call_number, 0
        self._shared.action = action

    def clear(self) -> None:
        """Let all be well again: no fault is due, and the disk has room."""
        self._shared.action, self._shared.disk_is_full, self._shared.has_fired = FaultAction.NOTHING, 0, 0

    def reset_call_counts(self) -> None:
        """Forget the calls that were counted."""
        self._shared.call_counts = (ctypes.c_int64 * len(SystemCall))()

    def call_counts(self) -> dict[SystemCall, int]:
        """Return the number of calls since the counting started."""
        return {call: self._shared.call_counts[call] for call in SystemCall}

    @property
    def path_of_fault(self) -> str | None:
        """The file at which the fault happened; None if it has not happened."""
        return self._shared.fired_path.decode(errors="replace") if self._shared.has_fired else None


def compile_interposer(folder: Path) -> Path | None:
    """Compile ``interposer.c`` into a folder and return the library; None where there is no compiler, or no Linux."""
    compiler = shutil.which("cc")
    library = folder / "interposer.so"
    if not compiler or not Path("/proc/self/fd").exists():
        return None
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl"]
    return library if subprocess.run(command, check=False, capture_output=True).returncode == 0 else None
