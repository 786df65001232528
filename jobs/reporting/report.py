"""Writes the report: reads the warehouse, makes the HTML page, and puts the whole file in its place by a rename."""

from contextlib import closing
from pathlib import Path
from typing import Any

from jobs.commands.status import read_status
from jobs.errors import NextmartError, redact
from jobs.files import replace_durably, unfinished_path
from jobs.progress import say
from jobs.reporting.data_sections import catalogue_section, funnel_section, late_events_section
from jobs.reporting.overview import make_tiles, runs_section
from jobs.reporting.page import ReportContent, render_page
from jobs.reporting.recommendation_sections import (
    concentration_section,
    models_section,
    outcomes_section,
    placements_section,
)
from jobs.reporting.report_file import is_report
from jobs.reporting.report_queries import read_frames
from jobs.reporting.visitors_and_items import sampled_visitors, searchable_items
from jobs.settings import Settings
from jobs.warehouse.attached_databases import attach_needed_databases
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection, connect
from jobs.warehouse.schema import require_current_version


def write_report(settings: Settings, path: Path) -> dict[str, Any]:
    """Write the report to a file. It is about the warehouse of the settings, which is opened for reading only.

    Returns
    -------
    dict
        ``file``, the path of the report, and ``bytes``, its size.

    Raises
    ------
    NextmartError
        If the warehouse can't be read, or ``path`` is a file that is no report; that file is not replaced.
    """
    _require_absent_or_report(path)
    with closing(connect(settings.warehouse, read_only=True, wait_seconds=settings.wait_seconds)) as connection:
        require_current_version(connection)
        try:
            attach_needed_databases(connection, settings.attach)
        except NextmartError as error:  # queries that read the unreachable database give empty frames
            say(f"WARN: {redact(str(error))}")
        page = redact(render_page(make_report_content(connection, settings)))
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = unfinished_path(path)
    try:
        # lone surrogates become question marks, because UTF-8 can't encode them
        unfinished.write_text(page, encoding="utf-8", errors="replace")
        replace_durably(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return {"file": str(path), "bytes": path.stat().st_size}


def _require_absent_or_report(path: Path) -> None:
    """Raise NextmartError if there is a file at ``path`` that is no report of nextmart's; it must not be replaced."""
    if path.exists() and not is_report(path):
        raise NextmartError(f"{path} is no report of nextmart's: name another file, or move that one away")


def make_report_content(connection: Connection, settings: Settings) -> ReportContent:
    """Return the content of the report on an open warehouse."""
    state, frames, made_at = read_status(connection, settings), read_frames(connection), now()
    return ReportContent(
        made_at=made_at,
        warehouse_path=str(settings.warehouse),
        tiles=make_tiles(state, frames, made_at),
        sections=[
            runs_section(state, frames),
            outcomes_section(frames),
            models_section(frames),
            concentration_section(frames),
            placements_section(frames),
            funnel_section(frames),
            late_events_section(frames),
            catalogue_section(state, frames),
        ],
        sampled_visitors=sampled_visitors(frames),
        searchable_items=searchable_items(frames["popular_items"]),
    )
