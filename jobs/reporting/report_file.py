"""The file of the report: where it is, and how a file is known to be one."""

from pathlib import Path
from typing import Final

from jobs.settings import Settings

FILE_NAME: Final = "report.html"

MARK: Final = b'<meta name="generator" content="nextmart report">'
"""What each report has near its beginning."""


def report_path(settings: Settings) -> Path:
    """Return the path of the report where a command names none."""
    return settings.report or default_report_path(settings)


def default_report_path(settings: Settings) -> Path:
    """Return the path of the report where neither a command nor a setting names one."""
    return settings.published.parent / FILE_NAME


def is_report(path: Path) -> bool:
    """Tell whether a file is there, and is a report of nextmart's.

    Raises
    ------
    OSError
        If the file can't be read.
    """
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return MARK in file.read(2000)
