"""Removes a forgotten person from the report that is already written: its sample of visitors may show the person."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from jobs.errors import NextmartError, redact
from jobs.os_errors import os_error_text
from jobs.reporting.nightly_report import are_report_packages_installed
from jobs.reporting.report_file import is_report, report_path
from jobs.settings import Settings


@dataclass(frozen=True)
class PersonWithdrawal:
    """What became of the report's file when a person was to be removed from it.

    Attributes
    ----------
    file : Path
    deletion_reason : str
        Why the report could not be written anew, and so was deleted; an empty text if it was written.
    problem : str
        Why the file could not be replaced, and may still show the person; an empty text if it was replaced or deleted.
    """

    file: Path
    deletion_reason: str = ""
    problem: str = ""

    def as_dictionary(self) -> dict[str, Any]:
        """Return the outcome as a dictionary for JSON."""
        return {
            "file": str(self.file),
            "deleted": bool(self.deletion_reason),
            "reason": self.deletion_reason,
            "problem": self.problem,
        }

    def terminal_lines(self, id_type: str) -> list[str]:
        """Return the outcome as lines for the terminal; ``id_type`` is the kind of the person's id, visitor or user."""
        if self.problem:
            return [f"{self.file} can't be replaced, and may still show the {id_type}: {self.problem}"]
        if self.deletion_reason:
            return [
                f"{self.file} is deleted, as it could not be written anew: {self.deletion_reason}",
                "`nextmart report` writes it",
            ]
        return [f"{self.file} is written anew"]


def withdraw_person_from_report(settings: Settings) -> PersonWithdrawal | None:
    """Write the report anew from a warehouse that no longer holds the person; if that fails, delete the report.

    Returns
    -------
    What became of the report's file; None if there is no report at the path that the settings give
    """
    file = report_path(settings)
    try:
        if not is_report(file):
            return None
        reason = _rewrite_report(settings, file)
        if reason:
            file.unlink()
    except OSError as error:
        return PersonWithdrawal(file, problem=os_error_text(error))
    return PersonWithdrawal(file, deletion_reason=reason)


def _rewrite_report(settings: Settings, file: Path) -> str:
    """Write the report anew; return the reason why that failed, or an empty text if it was written."""
    if not are_report_packages_installed():
        return "its packages are not installed: pip install 'nextmart[report]'"
    from jobs.reporting.report import write_report  # imported here, because its packages are an extra

    try:
        write_report(settings, file)
    except (NextmartError, duckdb.Error) as error:
        return redact(str(error))
    except OSError as error:
        return os_error_text(error)
    return ""
