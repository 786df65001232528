"""Finds the folders ``dbt_project`` and ``sql``, wherever nextmart is installed, and replaces files safely."""

import contextlib
import os
import shutil
from pathlib import Path
from typing import IO, Any

from jobs.errors import NextmartError


def project_folder(folder_name: str) -> Path:
    """Return the path of ``dbt_project`` or ``sql``: in the installed package, or in a checkout beside the package."""
    package = Path(__file__).resolve().parent
    packaged = package / folder_name
    return packaged if packaged.is_dir() else package.parent / folder_name


def sql_text(file_name: str) -> str:
    """Return the text of one file in the folder ``sql``, such as ``ddl/ml.sql``."""
    return (project_folder("sql") / file_name).read_text(encoding="utf-8")


def fsync_folder(folder: Path) -> None:
    """Make a rename inside ``folder`` survive a power cut; do nothing on Windows, which can't open folders."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def unfinished_path(file: Path) -> Path:
    """Return the path at which the next version of a file is written, beside the file that it will replace."""
    return file.with_name(f".{file.name}.unfinished")


def replace_durably(new_file: Path, old_file: Path) -> None:
    """Rename a complete new file to the name of an old one, which it replaces; the rename survives a power cut."""
    with new_file.open("rb") as file:
        os.fsync(file.fileno())
    new_file.replace(old_file)
    fsync_folder(old_file.absolute().parent)


def require_disk_space(folder: Path, needed_bytes: int, purpose: str, consequence: str) -> None:
    """Raise NextmartError if the disk of a folder has less than ``needed_bytes`` bytes free.

    Parameters
    ----------
    purpose, consequence : str
        What needs the space, and what was not done for lack of it; the error's message begins and ends with these
        texts.
    """
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise NextmartError(
            f"{purpose} needs {needed_bytes / 1e6:,.0f} MB in {folder}, where {free / 1e6:,.0f} MB are free; "
            f"{consequence}"
        )


def lock_against_writers(open_file: IO[Any]) -> bool:
    """Take the lock of a DuckDB reader on a file that is open for reading, until this process closes the file.

    Meanwhile no process can open the file with DuckDB for writing. No DuckDB connection of this process may have the
    file open, because closing the file would end the connection's lock too. On Windows nothing is locked.

    Returns
    -------
    bool
        False if a process has the file open for writing already, so that the lock was not taken.
    """
    if os.name == "posix":
        import fcntl  # Windows lacks this module

        try:
            fcntl.lockf(open_file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def copy_owner_and_mode(old_file: Path, new_file: Path) -> None:
    """Give a new file the mode, owner and group of the old file that it will replace, as far as this process may."""
    present = old_file.stat()
    new_file.chmod(present.st_mode)
    if os.name == "posix":
        with contextlib.suppress(PermissionError):  # only root may give a file to somebody else
            os.chown(new_file, present.st_uid, present.st_gid)


def remove_database(path: Path) -> None:
    """Delete a DuckDB file, its write-ahead log and its folder of temporary files, if they exist."""
    for name in (path.name, path.name + ".wal"):
        path.with_name(name).unlink(missing_ok=True)
    shutil.rmtree(path.with_name(path.name + ".tmp"), ignore_errors=True)
