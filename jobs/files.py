"""Files: the project's own folders, wherever the package is installed, and writes that survive a power cut."""

import os
from pathlib import Path


def project_folder(name: str) -> Path:
    """Return ``dbt_project`` or ``sql``: inside the package when installed, beside it in a checkout."""
    here = Path(__file__).resolve().parent
    packaged = here / name
    return packaged if packaged.is_dir() else here.parent / name


def sql_text(name: str) -> str:
    """Read one file of ``sql/``, such as ``ddl/ml.sql``."""
    return (project_folder("sql") / name).read_text(encoding="utf-8")


def fsync_folder(folder: Path) -> None:
    """Make a rename inside ``folder`` durable (a folder can't be opened for this on Windows)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
