"""Faults of the file system and the clock: they are written to shared memory, where ``interposer.c`` reads them."""

import ctypes
import mmap
import shutil
import subprocess
from enum import IntEnum
from pathlib import Path

INTERPOSER_SOURCE = Path(__file__).with_name("interposer.c")


class SystemCall(IntEnum):
    """The system calls at which a fault can happen."""

    WRITE = 0
    FSYNC = 1
    RENAME = 2
    UNLINK = 3


class FaultAction(IntEnum):
    """What happens at the system call to which a fault is bound.

    TEAR_AND_KILL writes half of the bytes, then kills the process group. DISK_FULL lasts until the faults are cleared.
    """

    NOTHING = 0
    KILL_GROUP = 1
    KILL_PROCESS = 2
    TEAR_AND_KILL = 3
    DISK_FULL = 4
    CLOCK_JUMP = 5


class _SharedMemory(ctypes.Structure):
    """The layout of the shared memory: the same fields as ``struct faults`` of ``interposer.c``."""

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
    """Sets the faults that ``interposer.c`` causes in the processes of the campaign.

    Set a fault only while none of the processes runs. Faults may be cleared at any time.

    Parameters
    ----------
    fault_file : Path
        The file that the processes map as shared memory; it is created.
    """

    def __init__(self, fault_file: Path) -> None:
        fault_file.write_bytes(bytes(ctypes.sizeof(_SharedMemory)))
        with fault_file.open("r+b") as file:
            self._shared = _SharedMemory.from_buffer(mmap.mmap(file.fileno(), 0))
        self.fault_file = fault_file

    def limit_to_folder(self, folder: Path) -> None:
        """Limit all faults of the file system to files below a folder."""
        self._shared.folder = str(folder.resolve()).encode()

    def shift_clock(self, offset_seconds: float) -> None:
        """Set by how many seconds the processes' clock is ahead of this machine's clock."""
        self._shared.clock_offset = round(offset_seconds * 1e9)

    def inject(self, action: FaultAction, call: SystemCall, call_number: int, clock_jump_seconds: float = 0) -> None:
        """Let ``action`` happen at the nth system call of the kind ``call``.

        Parameters
        ----------
        call_number : int
            The n, counted from 1 over all processes together.
        clock_jump_seconds : float
            By how much the clock goes ahead at ``CLOCK_JUMP``.
        """
        self._shared.clock_jump = round(clock_jump_seconds * 1e9)
        self._shared.call, self._shared.countdown, self._shared.has_fired = call, call_number, 0
        self._shared.action = action

    def clear(self) -> None:
        """Remove the fault that is due, and let the disk have room again."""
        self._shared.action, self._shared.disk_is_full, self._shared.has_fired = FaultAction.NOTHING, 0, 0

    def reset_call_counts(self) -> None:
        """Start counting system calls from 0 again."""
        self._shared.call_counts = (ctypes.c_int64 * len(SystemCall))()

    def call_counts(self) -> dict[SystemCall, int]:
        """Return the number of system calls of each kind since the counts were reset."""
        return {call: self._shared.call_counts[call] for call in SystemCall}

    @property
    def path_of_fault(self) -> str | None:
        """Path of the file at which the fault has happened; None if the fault has not happened."""
        return self._shared.fired_path.decode(errors="replace") if self._shared.has_fired else None


def compile_interposer(folder: Path) -> Path | None:
    """Compile ``interposer.c`` and return the path of the library; None without a C compiler or Linux."""
    compiler = shutil.which("cc")
    library = folder / "interposer.so"
    if not compiler or not Path("/proc/self/fd").exists():
        return None
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(INTERPOSER_SOURCE), "-ldl"]
    return library if subprocess.run(command, check=False, capture_output=True).returncode == 0 else None
