"""`nextmart load`: append the new rows of files to the raw tables; known rows are not added again."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import duckdb

from jobs.errors import NextmartError
from jobs.loading.arrivals import Arrivals, read_source
from jobs.loading.attributes import AttributeRules, missing_attributes, require_found_attributes
from jobs.loading.direct_appends import append_directly, can_append_directly
from jobs.loading.feed_files import feed_files
from jobs.loading.feed_rows import Batch, feed_text, file_counts, named_errors, read_news
from jobs.loading.feed_settings import Feed
from jobs.loading.feeds import FeedNews, feed_news
from jobs.loading.known_rows import latest_row_rules
from jobs.loading.loaded_files import remember_file, remember_time
from jobs.loading.raw_rows import append_arrivals
from jobs.loading.report import report_source
from jobs.loading.report_text import report_warnings
from jobs.loading.source_report import SourceReport
from jobs.loading.sources import LoadRules, SourceFiles
from jobs.loading.staging_rules import staging_rules
from jobs.loading.withdrawals import CompleteFeed
from jobs.progress import printable, say
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection, prepare_warehouse, rolled_back, transaction
from jobs.warehouse.job_runs import JobRun

UNREADABLE_EXAMPLES = 5
COUNTS = ("read", "repeated", "known", "loaded", "unreadable")
"""The numbers of rows that :func:`append_arrivals` returns for a source."""


def load(
    connection: Connection, sources: Sequence[SourceFiles | Feed], run_record: JobRun, rules: LoadRules
) -> list[SourceReport]:
    """Append the new rows of all sources to the raw tables, in one transaction: after an error nothing is loaded.

    Of a feed, the files are read that are new; ``raw.loaded_files`` remembers them in the same transaction. Rows that
    can't be read are set aside in ``raw.unreadable_rows``. Notes on feeds and rows, and the first unreadable rows, go
    to stderr. The record's detail holds, for each table, the sums of its sources' counts; where a table has several
    sources, or there are feeds, the counts of each under ``files``; and what happened to each feed under ``feeds``.

    Returns
    -------
    What the rows of each source hold, as the next build will read them
    """
    first_events = next((each for each in sources if isinstance(each, SourceFiles) and each.table == "events"), None)
    if first_events and can_append_directly(connection, first_events):
        try:
            with transaction(connection):
                news, batches = _read_sources(connection, sources, rules, first_events)
                return _append(connection, news, batches, run_record, rules)
        except NotAppendedDirectly:
            pass  # the files are read once more, into temporary tables, so that what is wrong can be said or set aside
    news, batches = _read_sources(connection, sources, rules)
    with transaction(connection):
        return _append(connection, news, batches, run_record, rules)


def _append(
    connection: Connection, news: Sequence[FeedNews], batches: Sequence[Batch], run_record: JobRun, rules: LoadRules
) -> list[SourceReport]:
    """Append what is new to the raw tables, remember the files of feeds, and fill the record."""
    reports = _append_batches(connection, batches, run_record, rules)
    for each in news:
        for seen in each.rewritten:
            remember_time(connection, each.feed.name, seen)
    _describe_feeds(news, run_record)
    if not batches:
        run_record.status = "unchanged"
    return reports


class NotAppendedDirectly(Exception):
    """Something is wrong with files whose rows were to be appended directly."""


def check(
    connection: Connection, sources: Sequence[SourceFiles | Feed], rules: LoadRules
) -> tuple[JobRun, list[SourceReport]]:
    """Do what ``load`` does, and take all of it back: the warehouse stays as it was, without a record of this run.

    Returns
    -------
    The counts of a load, and what the rows of each source hold
    """
    run_record = JobRun(run_id="check", job="load", started_at=now())
    news, batches = _read_sources(connection, sources, rules)
    with rolled_back(connection):
        prepare_warehouse(connection)
        reports = _append_batches(connection, batches, run_record, rules)
    _describe_feeds(news, run_record)
    run_record.status = "checked" if all(report.usable for report in reports) else "unusable"
    return run_record, reports


def _read_sources(
    connection: Connection,
    sources: Sequence[SourceFiles | Feed],
    rules: LoadRules,
    direct: SourceFiles | None = None,
) -> tuple[list[FeedNews], list[Batch]]:
    """Read the files of all sources into temporary tables, and tell people what they should know of them.

    Parameters
    ----------
    direct : SourceFiles, optional
        The source whose rows are appended to ``raw.events`` at once, in the open transaction.

    Raises
    ------
    NotAppendedDirectly
        If ``direct`` is given, and a source of the command line can't be read.
    NextmartError
        If a file can't be read, or a required feed has no new file with rows.
    """
    known_attributes: list[tuple[str, str]] = []
    paths_of_events = _paths_of_events(sources)

    def read(source: SourceFiles, relation: str) -> Arrivals:
        if source is direct:
            return append_directly(connection, source, rules.variables)
        spellings = {name.lower(): name for table, name in known_attributes if table == source.table}
        attribute_rules = AttributeRules(spellings, rows_are_events=Path(source.path).resolve() in paths_of_events)
        arrivals = read_source(connection, source, rules.variables, relation, attribute_rules=attribute_rules)
        known_attributes.extend((source.table, name) for name in arrivals.attributes.columns)
        return arrivals

    relations = (f"arrived_rows_{number}" for number in count())
    try:
        batches = [Batch(read(source, next(relations))) for source in sources if isinstance(source, SourceFiles)]
    except (duckdb.Error, NextmartError) as error:
        if direct:
            raise NotAppendedDirectly from error
        raise
    require_found_attributes([batch.arrivals.attributes for batch in batches if batch.arrivals])
    # the catalogue first, so that the items of events are looked up in the newest one
    order = ("items", "events", "visitors")
    feeds = sorted(
        (source for source in sources if isinstance(source, Feed)), key=lambda feed: order.index(feed.settings.kind)
    )
    news = [feed_news(connection, feed) for feed in feeds]
    for each in news:
        for note in each.notes:
            say(printable(feed_text(each.feed, note)))
        _require(each, has_rows=bool(each.files or each.feed.path))
    for each in news:
        of_feed = read_news(connection, each, read, relations)
        _require(each, has_rows=any(batch.arrivals for batch in of_feed))
        for name in missing_attributes([batch.arrivals.attributes for batch in of_feed if batch.arrivals]):
            say(printable(feed_text(each.feed, f"attributes: the new files have no column '{name}'")))
        batches += of_feed
    for batch in batches:
        _say_notes(batch)
    return news, batches


def _paths_of_events(sources: Sequence[SourceFiles | Feed]) -> set[Path]:
    """Return the absolute paths of what is loaded as events, of feeds also those of files that were loaded before."""
    paths: list[str] = []
    for source in sources:
        if isinstance(source, SourceFiles):
            paths += [source.path] if source.table == "events" else []
        elif source.settings.kind == "events":
            paths += [source.path] if source.path else [file.path for file in feed_files(source)]
    return {Path(path).resolve() for path in paths}


def _require(news: FeedNews, *, has_rows: bool) -> None:
    """Raise an error if a feed that has to bring rows brings none."""
    if news.feed.settings.required and not has_rows:
        reason = "its table has no rows" if news.feed.path else "its new files have no rows"
        if news.notes and not news.files:
            reason = news.notes[-1]
        raise NextmartError(
            feed_text(news.feed, f"{reason}. The feed says required = true, so nothing was loaded of any feed.")
        )


def _say_notes(batch: Batch) -> None:
    """Tell people what they should know of the rows of a batch."""
    arrivals, feed = batch.arrivals, batch.feed
    if arrivals is None:
        assert feed is not None  # noqa: S101 - files of a command line without rows are an error
        kept = " that `where` keeps" if feed.settings.where else ""
        for name in [part.seen.file.name for part in batch.parts] or [f"the table {feed.path}"]:
            say(printable(f"feed {feed.name}: {name} has no rows{kept}"))
        return
    for note in arrivals.notes:
        say(printable(note))
    if arrivals.unreadable_count:
        name = f"feed {feed.name}, {arrivals.source.path}" if feed else arrivals.source.path
        say(
            f"{name}: {arrivals.unreadable_count:,} rows can't be read; they are set aside in "
            "raw.unreadable_rows. The first:\n  " + "\n  ".join(arrivals.examples[:UNREADABLE_EXAMPLES])
        )


def _append_batches(
    connection: Connection, batches: Sequence[Batch], run_record: JobRun, rules: LoadRules
) -> list[SourceReport]:
    """Append what is new to the raw tables, fill the record, and describe the rows of each source."""
    staging = staging_rules(rules.variables)
    complete_feed = None
    if any(batch.arrivals and batch.arrivals.source.complete for batch in batches):
        complete_feed = CompleteFeed(connection, latest_row_rules("items", rules.variables), rules.variables)
    entries: list[dict[str, Any]] = []
    reports = []
    for number, batch in enumerate(batches, start=1):
        arrivals = batch.arrivals
        # later for each source, since the sources of a table count in their order
        loaded_at = (arrivals and arrivals.appended_at) or now()
        counts: dict[str, int] = {}
        if arrivals:
            with named_errors(batch.feed):
                counts = append_arrivals(connection, arrivals, rules.variables, loaded_at)
            if complete_feed and arrivals.source.complete:
                complete_feed.list_incoming(arrivals.unreadable_count, is_superseded=arrivals.source.is_superseded)
            # the last items say at once which earlier events they match; events of the same load say it themselves
            later = {other.arrivals.source.table for other in batches[number:] if other.arrivals}
            report = report_source(connection, arrivals.source.table, staging, with_known_events=later <= {"visitors"})
            reports.append(replace(report, attributes=arrivals.attributes))
            entries.append(_entry(batch, arrivals, counts, reports[-1]))
        if batch.feed:
            per_file = file_counts(connection, batch, counts, loaded_at)
            for part, numbers in zip(batch.parts, per_file, strict=True):
                remember_file(connection, batch.feed.name, part.seen, batch.feed.definition, numbers, loaded_at)
    _fill_record(run_record, entries, has_feeds=any(batch.feed for batch in batches))
    if complete_feed:
        _withdraw(complete_feed, batches, entries, run_record, rules)
    return reports


def _entry(batch: Batch, arrivals: Arrivals, counts: Mapping[str, int], report: SourceReport) -> dict[str, Any]:
    """Return what the record says of a source: its table, file, counts and report, and the files of a feed."""
    described = report.as_dictionary() | {"warnings": report_warnings(report)}
    entry = {"table": arrivals.source.table, "file": arrivals.source.path, **counts, "report": described}
    if batch.feed:
        entry |= {"feed": batch.feed.name, "parts": [part.seen.file.name for part in batch.parts]}
    return entry


def _fill_record(run_record: JobRun, entries: Sequence[dict[str, Any]], *, has_feeds: bool) -> None:
    """Add the sums of each table to the record, and the entries of its sources where they are several, or of feeds."""
    for entry in entries:
        sums = run_record.detail.setdefault(entry["table"], {})
        for name in COUNTS:
            if name in entry:
                sums[name] = sums.get(name, 0) + entry[name]
        run_record.rows_in += entry["read"]
        run_record.rows_out += entry["loaded"]
    if has_feeds or len(entries) > len(run_record.detail):
        run_record.detail["files"] = entries
    else:
        for entry in entries:
            run_record.detail[entry["table"]]["report"] = entry["report"]


def _withdraw(
    complete_feed: CompleteFeed,
    batches: Sequence[Batch],
    entries: Sequence[dict[str, Any]],
    run_record: JobRun,
    rules: LoadRules,
) -> None:
    """Withdraw the items that a complete feed lacks, and note how many."""
    feed = next((batch.feed for batch in batches if batch.arrivals and batch.arrivals.source.complete), None)
    with named_errors(feed):
        withdrawn = complete_feed.withdraw_the_others(now(), rules.max_withdrawn_share)
    run_record.detail["items"]["withdrawn"] = withdrawn
    if feed:
        next(entry for entry in reversed(entries) if entry.get("feed") == feed.name)["withdrawn"] = withdrawn


def _describe_feeds(news: Sequence[FeedNews], run_record: JobRun) -> None:
    """Add what happened to each feed to the record's detail."""
    if news:
        run_record.detail["feeds"] = {
            each.feed.name: {"files": [seen.file.name for seen in each.files], "notes": list(each.notes)}
            for each in news
        }
