"""`nextmart load`: append the new rows of files to ``raw.events`` and ``raw.items``; known rows are not added again."""

from collections.abc import Mapping
from typing import Any

from jobs.loading.known_items import item_rules
from jobs.loading.raw_rows import Arrivals, append_arrivals, read_source
from jobs.loading.report import report_source
from jobs.loading.report_text import report_lines, report_warnings
from jobs.loading.source_report import SourceReport
from jobs.loading.sources import LoadRules, SourceFiles
from jobs.loading.staging_rules import staging_rules
from jobs.loading.withdrawals import CompleteFeed
from jobs.progress import printable, say
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection, prepare_warehouse, rolled_back, transaction
from jobs.warehouse.job_runs import JobRun

UNREADABLE_EXAMPLES = 5


def load(
    connection: Connection, sources: list[SourceFiles], run_record: JobRun, rules: LoadRules
) -> list[SourceReport]:
    """Append the new rows of all sources to the raw tables, in one transaction: after an error nothing is loaded.

    Rows that can't be read are set aside in ``raw.unreadable_rows``. Notes on the rows, and the first unreadable rows,
    go to stderr. The record's detail holds, for each table, the sums of its sources' counts; and where a table has
    several sources, the counts of each under ``files``.

    Returns
    -------
    What the rows of each source hold, as the next build will read them
    """
    arrivals = _read_sources(connection, sources, rules)
    with transaction(connection):
        return _append_sources(connection, arrivals, run_record, rules)


def check(connection: Connection, sources: list[SourceFiles], rules: LoadRules) -> tuple[JobRun, list[SourceReport]]:
    """Do what ``load`` does, and take all of it back: the warehouse stays as it was, without a record of this run.

    Returns
    -------
    The counts of a load, and what the rows of each source hold
    """
    run_record = JobRun(run_id="check", job="load", started_at=now())
    arrivals = _read_sources(connection, sources, rules)
    with rolled_back(connection):
        prepare_warehouse(connection)
        reports = _append_sources(connection, arrivals, run_record, rules)
    run_record.status = "checked" if all(report.usable for report in reports) else "unusable"
    return run_record, reports


def load_texts(detail: Mapping[str, Any], reports: list[SourceReport], *, is_check: bool = False) -> list[str]:
    """Return what a load did with each source, and what the source's rows hold, as lines for people.

    Parameters
    ----------
    detail : mapping
        The detail of the load's record.
    reports : list of SourceReport
        A report for each source, in the order in which the sources were loaded.
    """
    several = "files" in detail
    named_counts = (
        [(counts["file"], counts) for counts in detail["files"]]
        if several
        else [(report.table, detail[report.table]) for report in reports]
    )
    texts = [
        _source_text(name, counts, report, is_check)
        for (name, counts), report in zip(named_counts, reports, strict=True)
    ]
    return texts + [
        _counts_line(table, counts, is_check) for table, counts in detail.items() if several and table != "files"
    ]


def _source_text(name: str, counts: Mapping[str, Any], report: SourceReport, is_check: bool) -> str:
    """Return the lines about one source; warnings come last."""
    warnings = [f"WARN: {warning}" for warning in report_warnings(report)]
    return "\n".join([_counts_line(name, counts, is_check), *report_lines(report), *warnings])


def _counts_line(name: str, counts: Mapping[str, Any], is_check: bool) -> str:
    """Return the line with the numbers of rows of a source or a table."""
    verb = "would be loaded" if is_check else "loaded"
    unreadable = f", {counts['unreadable']:,} unreadable and set aside" if "unreadable" in counts else ""
    withdrawn = f", {counts['withdrawn']:,} withdrawn" if "withdrawn" in counts else ""
    return (
        f"{name}: {counts['loaded']:,} {verb} of {counts['read']:,} read "
        f"({counts['repeated']:,} repeated, {counts['known']:,} known before{unreadable}){withdrawn}"
    )


def _read_sources(connection: Connection, sources: list[SourceFiles], rules: LoadRules) -> list[Arrivals]:
    """Read the files of all sources into temporary tables, and tell people what they should know of them."""
    all_arrivals = [
        read_source(connection, source, rules.variables, f"arrived_rows_{number}")
        for number, source in enumerate(sources)
    ]
    for arrivals in all_arrivals:
        for note in arrivals.notes:
            say(printable(note))
        if arrivals.unreadable_count:
            say(
                f"{arrivals.source.path}: {arrivals.unreadable_count:,} rows can't be read; they are set aside in "
                "raw.unreadable_rows. The first:\n  " + "\n  ".join(arrivals.examples[:UNREADABLE_EXAMPLES])
            )
    return all_arrivals


def _append_sources(
    connection: Connection, all_arrivals: list[Arrivals], run_record: JobRun, rules: LoadRules
) -> list[SourceReport]:
    """Append what is new to the raw tables, fill the record, and describe the rows of each source."""
    items, staging = item_rules(rules.variables), staging_rules(rules.variables)
    complete_feed = CompleteFeed(connection, items, rules.variables) if rules.complete else None
    files: list[dict[str, Any]] = []
    reports = []
    for arrivals in all_arrivals:
        table = arrivals.source.table
        counts = append_arrivals(connection, arrivals, items)
        if complete_feed and table == "items":
            complete_feed.list_incoming()
        report = report_source(connection, table, staging)
        described = report.as_dictionary() | {"warnings": report_warnings(report)}
        reports.append(report)
        files.append({"table": table, "file": arrivals.source.path, **counts, "report": described})
        known = run_record.detail.get(table, {})
        sums = {name: known.get(name, 0) + count for name, count in counts.items()}
        run_record.detail[table] = {**known, **sums, "report": described}
        run_record.rows_in += counts["read"]
        run_record.rows_out += counts["loaded"]
    if complete_feed:
        withdrawn = complete_feed.withdraw_the_others(now(), rules.max_withdrawn_share)
        run_record.detail["items"]["withdrawn"] = withdrawn
    if len(files) > len(run_record.detail):
        for table in run_record.detail.values():
            del table["report"]  # each file has its own
        run_record.detail["files"] = files
    return reports
