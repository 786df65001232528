"""The publish target ``parquet``: a folder that holds a subfolder of Parquet files for each of the newest publications.

The link ``current`` leads to the files of the newest publication, and is replaced by a rename. The files of the
publication before it stay until the next publication, for readers who have them open. A reader who needs several files
of the same publication must resolve the link only once.
"""

import os
import shutil
from pathlib import Path
from typing import Final

from jobs.errors import NextmartError
from jobs.files import fsync_folder
from jobs.publishing.targets.published_tables import open_published_file
from jobs.warehouse.connection import literal

CURRENT_LINK_NAME: Final = "current"
VERSIONS_FOLDER_NAME: Final = "versions"


def write_parquet(published_file: Path, folder: Path, *, may_keep_previous_files: bool = True) -> int:
    """Write a Parquet file for each published table, and point the link ``current`` at the folder of these files.

    Parameters
    ----------
    may_keep_previous_files : bool
        Whether the files of the previous publication stay, for readers who have them open.

    Returns
    -------
    int
        The number of rows of all tables together.

    Raises
    ------
    NextmartError
        If ``current`` is no link that nextmart has made, or a Parquet file lacks rows of its table.
    """
    current, versions = folder / CURRENT_LINK_NAME, folder / VERSIONS_FOLDER_NAME
    present = _name_of_present_version(current)
    versions.mkdir(parents=True, exist_ok=True)
    for path in _version_folders(versions):
        if int(path.name) > int(present or 0):  # a publish that was killed has left it
            shutil.rmtree(path)
    numbers = [int(path.name) for path in versions.iterdir() if path.name.isdecimal()]
    version = versions / f"{max(numbers, default=0) + 1:06}"
    try:
        count = _write_version(published_file, version)
    except BaseException:
        shutil.rmtree(version, ignore_errors=True)  # what was written so far is of no use, and the disk may be full
        raise
    link = folder / f".{CURRENT_LINK_NAME}.unfinished"
    link.unlink(missing_ok=True)
    link.symlink_to(Path(VERSIONS_FOLDER_NAME) / version.name, target_is_directory=True)
    link.replace(current)
    fsync_folder(folder)
    kept = {version.name, present if may_keep_previous_files else version.name}
    for path in _version_folders(versions):
        if path.name not in kept:
            shutil.rmtree(path)
    return count


def _name_of_present_version(current: Path) -> str:
    """Return the name of the folder to which the link ``current`` leads; an empty text if there is no link yet.

    Raises
    ------
    NextmartError
        If ``current`` is a file, a folder, or a link that nextmart hasn't made.
    """
    if not current.exists() and not current.is_symlink():
        return ""
    target = current.readlink() if current.is_symlink() else None
    if target is None or target.parent != Path(VERSIONS_FOLDER_NAME) or not target.name.isdecimal():
        raise NextmartError(f"{current} is no link of nextmart's: move it away, or name another folder")
    return target.name


def _version_folders(versions: Path) -> list[Path]:
    """Return the folders of publications: they are named by a number, and hold nothing but Parquet files.

    Hidden files don't count: file managers and network file systems leave them in any folder.
    """
    return [
        path
        for path in versions.iterdir()
        if path.name.isdecimal()
        and path.is_dir()
        and all(file.suffix == ".parquet" or file.name.startswith(".") for file in path.iterdir())
    ]


def _write_version(published_file: Path, version: Path) -> int:
    """Write the Parquet files of a publication to a new folder; return the number of rows of all tables together."""
    version.mkdir()
    count = 0
    with open_published_file(published_file) as (connection, tables):
        for table in tables:
            file = version / f"{table.name}.parquet"
            connection.execute(f"copy {table.relation} to {literal(str(file))} (format parquet, compression zstd)")
            with file.open("rb") as written:
                os.fsync(written.fileno())
            table.require_same_row_count(connection, f"read_parquet({literal(str(file))})")
            count += table.row_count
    fsync_folder(version)
    return count
