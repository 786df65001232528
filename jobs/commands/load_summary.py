"""Writes the result of `nextmart load` as lines for the terminal."""

from collections.abc import Mapping
from typing import Any

from jobs.loading.report_text import report_lines, report_warnings
from jobs.loading.source_report import SourceReport
from jobs.progress import without_control_characters

FILES_SHOWN = 3


def load_summary_lines(
    run_detail: Mapping[str, Any], reports: list[SourceReport], *, was_rolled_back: bool = False
) -> list[str]:
    """Return lines for the terminal with the counts and the report of each source of a load.

    Parameters
    ----------
    run_detail : mapping
        The detail of the load's record.
    reports : list of SourceReport
        A report for each source, in the order in which the sources were loaded.
    was_rolled_back : bool
        Whether nothing was loaded, because the command only checked the files.
    """
    sources = run_detail.get("files") or [{"file": report.table, **run_detail[report.table]} for report in reports]
    earlier_warnings: set[str] = set()
    texts = [
        _source_summary(counts, report, was_rolled_back, earlier_warnings)
        for counts, report in zip(sources, reports, strict=True)
    ]
    tables = [source["table"] for source in run_detail.get("files", [])]
    has_feeds = "feeds" in run_detail
    return texts + [
        _row_counts_line(table, run_detail[table], was_rolled_back)
        for table in dict.fromkeys(tables)
        if tables.count(table) > 1 or not has_feeds
    ]


def _source_summary(
    source_entry: Mapping[str, Any], report: SourceReport, was_rolled_back: bool, earlier_warnings: set[str]
) -> str:
    """Return the lines about one source. Warnings come last; those that an earlier source had are left out."""
    label, files = source_entry["file"], []
    if "feed" in source_entry:
        label, parts = f"feed {source_entry['feed']}", source_entry["parts"]
        more = f" and {len(parts) - FILES_SHOWN:,} more" if len(parts) > FILES_SHOWN else ""
        files = [without_control_characters(f"  {'files':<10}{', '.join(parts[:FILES_SHOWN])}{more}")] if parts else []
    warnings = [f"WARN: {warning}" for warning in report_warnings(report) if warning not in earlier_warnings]
    earlier_warnings.update(report_warnings(report))
    return "\n".join([_row_counts_line(label, source_entry, was_rolled_back), *files, *report_lines(report), *warnings])


def _row_counts_line(label: str, row_counts: Mapping[str, Any], was_rolled_back: bool) -> str:
    """Return the line with the counts of rows of a source or a table."""
    verb = "would be loaded" if was_rolled_back else "loaded"
    unreadable = f", {row_counts['unreadable']:,} unreadable and set aside" if "unreadable" in row_counts else ""
    withdrawn = f", {row_counts['withdrawn']:,} withdrawn" if "withdrawn" in row_counts else ""
    return (
        f"{label}: {row_counts['loaded']:,} {verb} of {row_counts['read']:,} read "
        f"({row_counts['repeated']:,} repeated, {row_counts['known']:,} known before{unreadable}){withdrawn}"
    )
