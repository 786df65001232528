"""The lock of a warehouse: a file beside the warehouse, by which one command at a time writes.

DuckDB's own lock lasts as long as a connection. A night opens several connections, in two processes, and another
program could open the warehouse between two of them. This lock is taken once and kept until the night has ended. The
operating system frees the lock when the last process that has it is gone, however that process ended, so a lock is
never left behind.
"""

import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import IO, Final
from weakref import WeakValueDictionary

import portalocker

from jobs.errors import NextmartError, redact
from jobs.progress import without_control_characters
from jobs.warehouse.clock import now
from jobs.warehouse.waiting import WarehouseWait

HELD_BY_RUN: Final = "_NEXTMART_LOCK_HELD_BY_RUN"
"""Environment variable that a run gives to its build: the number of the process whose lock covers the build too."""
SECONDS_FOR_READERS: Final = 60.0
"""A run that has begun waits at least so long for a program that has opened the warehouse meanwhile."""
LONGEST_COMMAND: Final = 200


@dataclass(frozen=True)
class LockOwner:
    """The command that has the lock, as the lock's file names it.

    Attributes
    ----------
    pid : int
        The number of the command's process.
    command : str
        The command as it was typed.
    since : str
        When the command took the lock, as an ISO time in UTC.
    build_pid : int or None
        The number of the process in which the command lets dbt build.
    """

    pid: int
    command: str
    since: str
    build_pid: int | None = None

    def describe(self) -> str:
        """Return the owner as a noun phrase for messages.

        If the owner has ended, but the dbt build that it started has not, the phrase begins with the build's process.
        """
        since = datetime.fromisoformat(self.since)
        text = f"process {self.pid} ({self.command}), since {since:%Y-%m-%d %H:%M:%S} UTC"
        if self.build_pid and not is_process_alive(self.pid):
            return f"process {self.build_pid}, the dbt build of {text}, which has ended"
        return text


class WarehouseLock:
    """The lock that this process has on a warehouse, until :meth:`release`, or until this process ends.

    Attributes
    ----------
    file : file or None
        The open file of the lock; None if `nextmart run` holds the lock, and this process is the dbt build that it
        started.
    """

    def __init__(self, file: IO[str] | None) -> None:
        self.file = file

    def __del__(self) -> None:
        self.release()

    @property
    def is_held(self) -> bool:
        """Whether this process has not released the lock yet."""
        return self.file is None or not self.file.closed

    @property
    def is_held_by_parent_run(self) -> bool:
        """Whether `nextmart run` holds the lock, and this process is the dbt build that it started."""
        return self.file is None

    def release(self) -> None:
        """Release the lock; if a dbt build that inherited it still runs, the lock stays until that build has ended."""
        if self.file and not self.file.closed:
            with suppress(OSError):
                self.file.truncate(0)
            self.file.close()

    def file_descriptors(self) -> tuple[int, ...]:
        """Return the file descriptors that a build has to inherit to keep the lock if this process is killed."""
        return (self.file.fileno(),) if self.file and os.name == "posix" else ()

    def record_build_pid(self, build_pid: int) -> None:
        """Write the number of the dbt build's process into the lock's file, beside the number of this process."""
        owner = read_owner(self.file) if self.file else None
        if self.file and owner:
            _write_owner(self.file, replace(owner, build_pid=build_pid))


_locks_of_this_process: WeakValueDictionary[Path, WarehouseLock] = WeakValueDictionary()


def lock_file_path(warehouse: Path) -> Path:
    """Return the path of a warehouse's lock; it is the same path whichever symbolic link leads to the warehouse."""
    path = warehouse.resolve()
    return path.with_name(path.name + ".lock")


def take_lock(warehouse: Path, wait_seconds: float = 0) -> WarehouseLock:
    """Take the lock of a warehouse; wait up to ``wait_seconds`` for the command that has it.

    A process that has the lock already gets the same lock again. A dbt build that `nextmart run` started gets the lock
    of that run.

    Raises
    ------
    NextmartError
        If another command still has the lock after ``wait_seconds``; the message names that command. Or if the file of
        the lock can't be written or locked.
    """
    path = lock_file_path(warehouse)
    if lock := _lock_of_this_process(path):
        return lock
    lock = WarehouseLock(None if os.environ.get(HELD_BY_RUN) else _open_locked_file(path, warehouse, wait_seconds))
    _locks_of_this_process[path] = lock
    return lock


@contextmanager
def warehouse_lock(warehouse: Path, wait_seconds: float = 0) -> Iterator[WarehouseLock]:
    """Hold the lock of a warehouse for a ``with`` block, as :func:`take_lock` takes it.

    A block inside another one of the same process has the same lock, and does not release it.
    """
    is_outermost = _lock_of_this_process(lock_file_path(warehouse)) is None
    lock = take_lock(warehouse, wait_seconds)
    try:
        yield lock
    finally:
        if is_outermost:
            lock.release()


def _lock_of_this_process(lock_path: Path) -> WarehouseLock | None:
    lock = _locks_of_this_process.get(lock_path)
    return lock if lock and lock.is_held else None


def read_owner(open_file: IO[str]) -> LockOwner | None:
    """Return the owner that an open file of a lock names; None if it names none."""
    try:
        open_file.seek(0)
        return LockOwner(**json.load(open_file))
    except (OSError, ValueError, TypeError):
        # the file is empty, because nobody has had the lock yet; or it is being written; or Windows keeps it locked
        return None


def is_process_alive(pid: int) -> bool:
    """Tell whether a process exists; always true on Windows, where asking would end the process."""
    if os.name == "posix":
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
    return True


def _open_locked_file(lock_path: Path, warehouse: Path, wait_seconds: float) -> IO[str]:
    """Return the lock's file, open and locked, with this process as its owner."""
    waiting = WarehouseWait(warehouse, wait_seconds)
    try:
        lock_path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise NextmartError(
            f"can't write {lock_path}, by which commands take turns at {warehouse}: {error.strerror}. Run the command "
            "as the user whose warehouse it is."
        ) from error
    file = os.fdopen(descriptor, "r+", encoding="utf-8")
    while True:
        try:
            portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
            break
        except portalocker.AlreadyLocked as error:
            owner = read_owner(file)
            holder = without_control_characters(owner.describe()) if owner else "another command of nextmart, or dbt"
            if waiting.is_over():
                file.close()
                raise NextmartError(
                    f"{warehouse} is held by {holder}. Wait for it (--wait SECONDS), or end that process."
                ) from error
            waiting.pause(holder)
        except portalocker.LockException as error:
            file.close()
            raise NextmartError(
                f"can't lock {lock_path}: {error.strerror}. Keep the warehouse on a local disk, which has locks."
            ) from error
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    _write_owner(file, LockOwner(os.getpid(), redact(command)[:LONGEST_COMMAND], now().isoformat(timespec="seconds")))
    return file


def _write_owner(open_file: IO[str], owner: LockOwner) -> None:
    """Write the owner of the lock into its file. If the disk is full, messages can't name the owner; that is all."""
    with suppress(OSError):
        open_file.seek(0)
        open_file.truncate()
        json.dump(asdict(owner), open_file)
        open_file.flush()
