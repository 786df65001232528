"""Tells where the report's file is, and whether a file is a report of nextmart's."""

from pathlib import Path
from typing import Final

from jobs.settings import Settings

FILE_NAME: Final = "report.html"

MARK: Final = b'<meta name="generator" content="nextmart report">'
"""The HTML element that each report has near its beginning, by which it is recognised."""


def report_path(settings: Settings) -> Path:
    """Return the path of the report for a command that names none: the setting ``report``, or else the default path."""
    return settings.report or default_report_path(settings)


def default_report_path(settings: Settings) -> Path:
    """Return the path of the report if neither a command nor a setting names one: beside the published file."""
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
