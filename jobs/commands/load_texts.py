"""Writes the result of `nextmart load` as lines for the terminal."""

from collections.abc import Mapping
from typing import Any

from jobs.loading.report_text import report_lines, report_warnings
from jobs.loading.source_report import SourceReport
from jobs.progress import printable

FILES_SHOWN = 3


def load_texts(detail: Mapping[str, Any], reports: list[SourceReport], *, is_check: bool = False) -> list[str]:
    """Return lines for the terminal with the counts and the report of each source of a load.

    Parameters
    ----------
    detail : mapping
        The detail of the load's record.
    reports : list of SourceReport
        A report for each source, in the order in which the sources were loaded.
    """
    sources = detail.get("files") or [{"file": report.table, **detail[report.table]} for report in reports]
    warned: set[str] = set()
    texts = [_source_lines(counts, report, is_check, warned) for counts, report in zip(sources, reports, strict=True)]
    tables = [source["table"] for source in detail.get("files", [])]
    has_feeds = "feeds" in detail
    return texts + [
        _counts_line(table, detail[table], is_check)
        for table in dict.fromkeys(tables)
        if tables.count(table) > 1 or not has_feeds
    ]


def _source_lines(counts: Mapping[str, Any], report: SourceReport, is_check: bool, warned: set[str]) -> str:
    """Return the lines about one source; warnings come last, without those that an earlier source had."""
    name, files = counts["file"], []
    if "feed" in counts:
        name, parts = f"feed {counts['feed']}", counts["parts"]
        more = f" and {len(parts) - FILES_SHOWN:,} more" if len(parts) > FILES_SHOWN else ""
        files = [printable(f"  {'files':<10}{', '.join(parts[:FILES_SHOWN])}{more}")] if parts else []
    warnings = [f"WARN: {warning}" for warning in report_warnings(report) if warning not in warned]
    warned.update(report_warnings(report))
    return "\n".join([_counts_line(name, counts, is_check), *files, *report_lines(report), *warnings])


def _counts_line(name: str, counts: Mapping[str, Any], is_check: bool) -> str:
    """Return the line with the counts of rows of a source or a table."""
    verb = "would be loaded" if is_check else "loaded"
    unreadable = f", {counts['unreadable']:,} unreadable and set aside" if "unreadable" in counts else ""
    withdrawn = f", {counts['withdrawn']:,} withdrawn" if "withdrawn" in counts else ""
    return (
        f"{name}: {counts['loaded']:,} {verb} of {counts['read']:,} read "
        f"({counts['repeated']:,} repeated, {counts['known']:,} known before{unreadable}){withdrawn}"
    )
