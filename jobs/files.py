"""Finding the folders ``dbt_project`` and ``sql``, wherever nextmart is installed, and replacing files safely."""

import contextlib
import os
import shutil
from pathlib import Path


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


def keep_owner_and_mode(old_file: Path, new_file: Path) -> None:
    """Give a new file, which is to replace an old one, the old one's mode, owner and group, as far as it is allowed."""
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
