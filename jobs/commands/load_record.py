"""Adds the results of a load to its record in ``ml.job_runs``: counts and reports of sources, and files of feeds."""

from collections.abc import Mapping, Sequence
from typing import Any

from jobs.loading.arrivals import Arrivals
from jobs.loading.feed_rows import RowBatch
from jobs.loading.files_to_load import FilesToLoad
from jobs.loading.report_text import report_warnings
from jobs.loading.source_report import SourceReport
from jobs.warehouse.job_runs import JobRun

ROW_COUNT_NAMES = ("read", "repeated", "known", "loaded", "unreadable")
"""The names of the row counts that :func:`append_arrivals` returns for a source."""


def source_entry(
    batch: RowBatch, arrived_rows: Arrivals, row_counts: Mapping[str, int], report: SourceReport
) -> dict[str, Any]:
    """Return a source's entry for the run's record: its table, file, counts and report, and the feed's files."""
    described = report.as_dictionary() | {"warnings": report_warnings(report)}
    entry = {"table": arrived_rows.source.table, "file": arrived_rows.source.path, **row_counts, "report": described}
    if batch.feed:
        entry |= {"feed": batch.feed.name, "parts": [part.file_on_disk.feed_file.masked_path for part in batch.files]}
    return entry


def add_source_entries_to_record(
    run_record: JobRun, source_entries: Sequence[dict[str, Any]], *, has_feeds: bool
) -> None:
    """Add the row counts of the load to the run's record, summed by raw table.

    The entry of each source is added too if the load has feeds, or several sources for one table. Otherwise only the
    report of each source is added.
    """
    for entry in source_entries:
        sums = run_record.detail.setdefault(entry["table"], {})
        for name in ROW_COUNT_NAMES:
            if name in entry:
                sums[name] = sums.get(name, 0) + entry[name]
        run_record.rows_in += entry["read"]
        run_record.rows_out += entry["loaded"]
    if has_feeds or len(source_entries) > len(run_record.detail):
        run_record.detail["files"] = source_entries
    else:
        for entry in source_entries:
            run_record.detail[entry["table"]]["report"] = entry["report"]


def add_feeds_to_record(files_to_load_of_feeds: Sequence[FilesToLoad], run_record: JobRun) -> None:
    """Add the result of each feed to the detail of the run's record."""
    if files_to_load_of_feeds:
        run_record.detail["feeds"] = {
            each.feed.name: {
                "files": [file_on_disk.feed_file.masked_path for file_on_disk in each.files],
                "notes": list(each.notes),
            }
            for each in files_to_load_of_feeds
        }
