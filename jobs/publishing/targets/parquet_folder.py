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
        If ``current`` is a file or folder instead of a link, or a Parquet file lacks rows of its table.
    """
    current, versions = folder / CURRENT_LINK_NAME, folder / VERSIONS_FOLDER_NAME
    if current.exists() and not current.is_symlink():
        raise NextmartError(f"{current} is no link of nextmart's: move it away, or name another folder")
    versions.mkdir(parents=True, exist_ok=True)
    present = current.readlink().name if current.is_symlink() else ""
    numbers = [int(path.name) for path in versions.iterdir() if path.name.isdecimal()]
    version = versions / f"{max(numbers, default=0) + 1:06}"
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
    link = folder / f".{CURRENT_LINK_NAME}.unfinished"
    link.unlink(missing_ok=True)
    link.symlink_to(Path(VERSIONS_FOLDER_NAME) / version.name, target_is_directory=True)
    link.replace(current)
    fsync_folder(folder)
    kept = {version.name, present if may_keep_previous_files else version.name}
    for path in versions.iterdir():
        if path.name.isdecimal() and path.name not in kept:
            shutil.rmtree(path)
    return count
