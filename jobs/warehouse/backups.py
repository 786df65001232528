"""Takes, verifies, lists and restores backup copies of the warehouse.

A copy is the whole file. A copy is valid only once every row of it has been read, because DuckDB then checks the
checksum of every block: a copy of a damaged warehouse never replaces a good copy. DuckDB's checksum has a gap: two
equal words of eight bytes cancel each other out, so it can miss that both were overwritten with zeros.
"""

import glob
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import duckdb

from jobs.errors import NextmartError
from jobs.files import (
    copy_owner_and_mode,
    fsync_folder,
    lock_against_writers,
    remove_database,
    replace_durably,
    require_disk_space,
    unfinished_path,
)
from jobs.warehouse.connection import Connection
from jobs.warehouse.contents import RowsByTable, open_read_only, read_row_counts_and_hashes
from jobs.warehouse.schema import first_version_time


@dataclass(frozen=True)
class Backup:
    """A verified copy of the warehouse.

    Attributes
    ----------
    sequence_number : int
        The position of the copy in the order of taking; copies are ordered by this number, not by a clock.
    taken_at : datetime
        When the copy was taken, by the machine's clock.
    """

    path: Path
    sequence_number: int
    size_bytes: int
    taken_at: datetime


def list_backups(folder: Path, warehouse: Path) -> list[Backup]:
    """Return the backup copies of a warehouse in a folder, newest first."""
    named = re.compile(re.escape(warehouse.stem) + r"\.(\d{6})\.duckdb")
    found = []
    for path in folder.glob(f"{glob.escape(warehouse.stem)}.*.duckdb") if folder.is_dir() else ():
        if numbered := named.fullmatch(path.name):
            status = path.stat()
            taken_at = datetime.fromtimestamp(status.st_mtime, UTC)
            found.append(Backup(path, int(numbered[1]), status.st_size, taken_at))
    return sorted(found, key=lambda backup: backup.sequence_number, reverse=True)


def require_copies_of_same_warehouse(connection: Connection, warehouse: Path, folder: Path) -> None:
    """Raise NextmartError if the newest backup copy in a folder is one of another warehouse of the same file name.

    Otherwise the two warehouses would number their copies together, each would delete the other's oldest copies, and
    a restore could put the rows of one warehouse into the other. No error is raised for a copy that can't be read.

    Parameters
    ----------
    connection : Connection
        The open warehouse.
    """
    for copy in list_backups(folder, warehouse)[:1]:
        try:
            with open_read_only(copy.path, warehouse.stem) as opened:
                made_at = first_version_time(opened)
        except (NextmartError, duckdb.Error):
            return
        if made_at and made_at != first_version_time(connection):
            raise NextmartError(
                f"{copy.path} is a copy of another warehouse than {warehouse}, so no copy was taken: in one folder, "
                "copies of two warehouses of the same name replace each other. Give each warehouse a folder of its own "
                "(setting backup_folder), or move the other warehouse's copies away"
            )


def take_backup(warehouse: Path, folder: Path) -> Backup:
    """Take and verify a backup copy of a warehouse that no process writes to and that has no write-ahead log.

    Raises
    ------
    NextmartError
        If the disk has too little space, another process has the warehouse open to write, or a row of the copy can't
        be read; then no copy is added, and those taken before stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    newest = max((backup.sequence_number for backup in list_backups(folder, warehouse)), default=0)
    target = folder / f"{warehouse.stem}.{newest + 1:06}.duckdb"
    copy_and_verify(warehouse, target, warehouse.stem)
    return list_backups(folder, warehouse)[0]


def copy_and_verify(source_path: Path, copy_path: Path, database_name: str) -> RowsByTable:
    """Copy a warehouse file and verify the copy; return the copy's row counts and hashes. After an error no copy stays.

    Parameters
    ----------
    source_path : Path
        The warehouse, or a backup copy of it.
    copy_path : Path
        The copy to make.
    database_name : str
        The stem of the warehouse's file name, by which its views name the database.
    """
    unfinished = unfinished_path(copy_path)
    remove_database(unfinished)  # a killed copy may have left an unfinished file
    require_disk_space(copy_path.parent, source_path.stat().st_size, f"a copy of {source_path}", "nothing was copied")
    try:
        with locked_against_writers(source_path) as original, unfinished.open("wb") as copy:
            resolved = source_path.resolve()  # DuckDB writes the log beside the file to which a symbolic link leads
            if resolved.with_name(resolved.name + ".wal").exists():
                raise NextmartError(f"a process has written to {source_path} just now: copy it again later")
            shutil.copyfileobj(original, copy, 1 << 22)
        with open_read_only(unfinished, database_name) as connection:
            rows = read_row_counts_and_hashes(connection)
        copy_owner_and_mode(source_path, unfinished)
        replace_durably(unfinished, copy_path)
    except OSError as error:
        if error.filename is None:  # the error of a write to a full disk names no file
            error.filename = str(copy_path)
        raise
    finally:
        remove_database(unfinished)
    return rows


def backup_read_error(backup_path: Path, database_name: str) -> str | None:
    """Read every row of a backup copy; return the reason if a row can't be read, or None if the copy is good."""
    try:
        with open_read_only(backup_path, database_name) as connection:
            read_row_counts_and_hashes(connection)
    except NextmartError as error:
        return str(error)
    return None


def drop_old_backups(folder: Path, warehouse: Path, kept_count: int) -> list[Path]:
    """Delete all but the ``kept_count`` newest backup copies; return the paths of the deleted copies."""
    old = [backup.path for backup in list_backups(folder, warehouse)[kept_count:]]
    for path in old:
        path.unlink()
    return old


def restore_backup(backup: Backup, warehouse: Path) -> Path | None:
    """Replace the warehouse by a backup copy; return the new path of the replaced warehouse, None if there was none.

    The replaced warehouse, with its write-ahead log, is kept beside the new one. At every moment, a file exists at the
    warehouse's path.

    Raises
    ------
    NextmartError
        If a row of the copy can't be read, the disk has too little space, or a process has the warehouse open; the
        warehouse then stays as it is.
    """
    warehouse = warehouse.resolve()
    restored = _restored_copy_path(warehouse)
    copy_and_verify(backup.path, restored, warehouse.stem)
    try:
        if not warehouse.exists():
            restored.replace(warehouse)
            kept = None
        else:
            with locked_against_writers(warehouse):
                kept = _set_warehouse_aside(warehouse)
                restored.replace(warehouse)
        fsync_folder(warehouse.parent)
    finally:
        remove_database(restored)
    return kept


def paths_left_by_killed_restore(warehouse: Path) -> list[Path]:
    """Return the paths of copies that a killed `nextmart restore` has left beside the warehouse."""
    restored = _restored_copy_path(warehouse.resolve())
    return [path for path in (restored, unfinished_path(restored)) if path.exists()]


def _restored_copy_path(resolved_warehouse: Path) -> Path:
    """Return the path at which a restore verifies a copy, before it takes the warehouse's place."""
    return resolved_warehouse.with_name(f".{resolved_warehouse.name}.restored")


def replaced_warehouse_paths(warehouse: Path) -> list[Path]:
    """Return the paths of replaced warehouses that are kept beside the present one.

    If the warehouse's path is a symbolic link, they are beside the file to which it leads.
    """
    warehouse = warehouse.resolve()
    return sorted(warehouse.parent.glob(f"{glob.escape(warehouse.name)}.before-restore-*"))


def _set_warehouse_aside(warehouse: Path) -> Path:
    """Give the warehouse a second path (a hard link) and move its write-ahead log along; return the second path."""
    number = 1
    while (aside := warehouse.with_name(f"{warehouse.name}.before-restore-{number}")).exists():
        number += 1
    log = warehouse.with_name(warehouse.name + ".wal")
    try:
        aside.hardlink_to(warehouse)
    except OSError:  # the file system supports no hard links
        warehouse.replace(aside)
    if log.exists():
        # otherwise DuckDB would apply the old log to the restored copy
        log.replace(aside.with_name(aside.name + ".wal"))
    return aside


@contextmanager
def locked_against_writers(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, and keep other processes from opening it for writing meanwhile; yield the open file.

    Raises
    ------
    NextmartError
        If a process has the file open for writing already.
    """
    with path.open("rb") as file:
        if not lock_against_writers(file):
            raise NextmartError(f"{path} is open in another process: end that process, or wait for it")
        yield file
