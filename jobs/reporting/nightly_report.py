"""Writes the HTML report at the end of a night, and checks whether the packages that draw it are installed."""

from importlib.util import find_spec
from pathlib import Path
from time import monotonic

import duckdb

from jobs.errors import NextmartError, UsageError
from jobs.os_errors import error_text
from jobs.progress import say, stage_line
from jobs.settings import Settings

PACKAGES = ("altair", "vl_convert", "jinja2")


def are_report_packages_installed() -> bool:
    """Return whether the packages that draw the report are installed."""
    return all(find_spec(package) for package in PACKAGES)


def require_report_packages(purpose: str) -> None:
    """Raise UsageError if packages that draw the report are missing; the message begins with ``purpose``."""
    if not are_report_packages_installed():
        raise UsageError(f"{purpose} needs packages that are not installed: pip install 'nextmart[report]'")


def write_report_after_publication(settings: Settings, path: Path) -> bool:
    """Write the report after a publication. A failure is only a warning, because the lists are already published.

    Returns
    -------
    Whether the report was written
    """
    from jobs.reporting.report import write_report  # the packages of this module may not be installed

    started_at = monotonic()
    try:
        written = write_report(settings, path)
    except (NextmartError, duckdb.Error, OSError) as error:
        say(f"WARN: {settings.published} is published, but the report {path} was not written: {error_text(error)}")
        say("`nextmart report` writes it")
        return False
    say(stage_line("report", f"{path}, {written['bytes'] / 1e6:.1f} MB", monotonic() - started_at))
    return True
