"""`nextmart load`: append the new rows of files to the raw tables; known rows are not added again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import duckdb

from jobs.commands.load_notes import say_notes, say_once
from jobs.errors import NextmartError
from jobs.loading.arrival_times import ArrivalTimes
from jobs.loading.arrivals import Arrivals, read_source
from jobs.loading.attributes import AttributeRules, missing_attributes, require_attribute_columns
from jobs.loading.direct_appends import (
    FilesChangedError,
    append_directly,
    are_large_events,
    scan_source,
    sizes_of_files,
)
from jobs.loading.feed_files import feed_files
from jobs.loading.feed_rows import Batch, feed_text, file_counts, named_errors, read_news
from jobs.loading.feed_settings import Feed
from jobs.loading.feeds import FeedNews, feed_news
from jobs.loading.known_rows import latest_row_rules
from jobs.loading.loaded_files import remember_file, remember_modification_time
from jobs.loading.raw_rows import append_arrivals
from jobs.loading.report import report_source
from jobs.loading.report_text import report_warnings
from jobs.loading.source_report import SourceReport
from jobs.loading.sources import LoadRules, SourceFiles
from jobs.loading.staging_rules import staging_rules
from jobs.loading.withdrawals import CompleteFeed
from jobs.progress import printable
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection, prepare_within_transaction, rolled_back, transaction
from jobs.warehouse.job_runs import JobRun

COUNT_NAMES = ("read", "repeated", "known", "loaded", "unreadable")
"""The names of the row counts that :func:`append_arrivals` returns for a source."""


def load(
    connection: Connection, sources: Sequence[SourceFiles | Feed], run_record: JobRun, rules: LoadRules
) -> list[SourceReport]:
    """Append the new rows of all sources to the raw tables, in one transaction: after an error nothing is loaded.

    Only new files of feeds are read; the same transaction records them in ``raw.loaded_files``. Unreadable rows are
    stored in ``raw.unreadable_rows``. Notes on feeds and rows, and the first unreadable rows, go to stderr. The detail
    of the run's record holds the sums of the counts by table, the counts of each source under ``files`` if a table has
    several sources or there are feeds, and the result of each feed under ``feeds``.

    Returns
    -------
    A report for each source: how dbt's next build will read its rows
    """
    return _load_in(transaction, connection, sources, run_record, rules)


def _load_in(
    scope: Callable[[Connection], AbstractContextManager[None]],
    connection: Connection,
    sources: Sequence[SourceFiles | Feed],
    run_record: JobRun,
    rules: LoadRules,
) -> list[SourceReport]:
    """Read all sources, and append what is new in one transaction.

    Parameters
    ----------
    scope : function
        Begins the transaction, and ends it after a ``with`` block.
    """
    said: set[tuple[str, str]] = set()

    def attempt(copies: ExitStack | None) -> list[SourceReport]:
        news, batches = _read_sources(connection, sources, rules, said, copies)
        with scope(connection):
            return _append(connection, news, batches, run_record, rules, said)

    try:
        with ExitStack() as copies:
            return attempt(copies)
    except DirectAppendError:
        # the files are read again, into temporary tables, to report the error or to leave out unreadable rows
        return attempt(None)


def _append(
    connection: Connection,
    news: Sequence[FeedNews],
    batches: Sequence[Batch],
    run_record: JobRun,
    rules: LoadRules,
    said: set[tuple[str, str]],
) -> list[SourceReport]:
    """Append the new rows to the raw tables, record the loaded files of feeds, and fill the run's record."""
    reports = _append_batches(connection, batches, run_record, rules, said)
    for each in news:
        for present_file in each.rewritten:
            remember_modification_time(connection, each.feed.name, present_file)
    _describe_feeds(news, run_record)
    if not batches:
        run_record.status = "unchanged"
    return reports


class DirectAppendError(Exception):
    """The error that rows could not be appended from their files directly."""


def check(
    connection: Connection, sources: Sequence[SourceFiles | Feed], rules: LoadRules
) -> tuple[JobRun, list[SourceReport]]:
    """Do what ``load`` does and roll it back: the warehouse stays unchanged, and the run is not recorded.

    Returns
    -------
    The counts of a load, and a report for each source
    """
    run_record = JobRun(run_id="check", job="load", started_at=now())

    @contextmanager
    def scope(connection: Connection) -> Iterator[None]:
        with rolled_back(connection):
            prepare_within_transaction(connection)
            yield

    reports = _load_in(scope, connection, sources, run_record, rules)
    run_record.status = "checked" if all(report.usable for report in reports) else "unusable"
    return run_record, reports


def _read_sources(
    connection: Connection,
    sources: Sequence[SourceFiles | Feed],
    rules: LoadRules,
    said: set[tuple[str, str]],
    copies: ExitStack | None = None,
) -> tuple[list[FeedNews], list[Batch]]:
    """Read the files of all sources into temporary tables, and print notes and warnings about their rows.

    Parameters
    ----------
    said : set of (table, text)
        What people were told already.
    copies : ExitStack, optional
        If given, rows of large files of events stay in the files, whose copies this stack keeps, until they are
        appended.

    Raises
    ------
    NextmartError
        If a file can't be read, or a required feed has no new file with rows.
    """
    known_attributes: list[tuple[str, str]] = []
    paths_of_events = _paths_loaded_as_events(sources)

    large_feeds: set[str | None] = set()

    def read(source: SourceFiles, relation: str) -> Arrivals:
        if copies is not None:
            is_large = source.feed in large_feeds
            if source.feed is None:
                is_large = are_large_events(connection, source.table, sizes_of_files(connection, source))
            if is_large:
                return scan_source(connection, source, relation, copies)
        spellings = {name.lower(): name for table, name in known_attributes if table == source.table}
        attribute_rules = AttributeRules(spellings, rows_are_events=Path(source.path).resolve() in paths_of_events)
        arrivals = read_source(connection, source, rules.dbt_vars, relation, attribute_rules=attribute_rules)
        known_attributes.extend((source.table, name) for name in arrivals.attributes.columns)
        return arrivals

    relations = (f"arrived_rows_{number}" for number in count())
    batches = [Batch(read(source, next(relations))) for source in sources if isinstance(source, SourceFiles)]
    require_attribute_columns([batch.arrivals.attributes for batch in batches if batch.arrivals])
    # feeds of items come first, so that the items of events are looked up in the newest catalogue
    order = ("items", "events", "visitors", "impressions")
    feeds = sorted(
        (source for source in sources if isinstance(source, Feed)), key=lambda feed: order.index(feed.settings.kind)
    )
    news = [feed_news(connection, feed) for feed in feeds]
    for each in news:
        for note in each.notes:
            say_once(printable(feed_text(each.feed, note)), said)
        _require_new_rows(each, has_rows=bool(each.files or each.feed.path))
        if are_large_events(connection, each.feed.settings.kind, [present_file.bytes for present_file in each.files]):
            large_feeds.add(each.feed.name)
    for each in news:
        of_feed = read_news(connection, each, read, relations)
        _require_new_rows(each, has_rows=any(batch.arrivals for batch in of_feed))
        for name in missing_attributes([batch.arrivals.attributes for batch in of_feed if batch.arrivals]):
            say_once(printable(feed_text(each.feed, f"attributes: the new files have no column '{name}'")), said)
        batches += of_feed
    for batch in batches:
        say_notes(batch, said)
    return news, batches


def _paths_loaded_as_events(sources: Sequence[SourceFiles | Feed]) -> set[Path]:
    """Return the absolute paths of all files that are loaded as events, including files of feeds loaded before."""
    paths: list[str] = []
    for source in sources:
        if isinstance(source, SourceFiles):
            paths += [source.path] if source.table == "events" else []
        elif source.settings.kind == "events":
            paths += [source.path] if source.path else [file.path for file in feed_files(source)]
    return {Path(path).resolve() for path in paths}


def _require_new_rows(news: FeedNews, *, has_rows: bool) -> None:
    """Raise an error if a feed with ``required = true`` has no new rows."""
    if news.feed.settings.required and not has_rows:
        reason = "its table has no rows" if news.feed.path else "its new files have no rows"
        if news.notes and not news.files:
            reason = news.notes[-1]
        raise NextmartError(
            feed_text(news.feed, f"{reason}. The feed says required = true, so nothing was loaded of any feed.")
        )


def _append_batches(
    connection: Connection, batches: Sequence[Batch], run_record: JobRun, rules: LoadRules, said: set[tuple[str, str]]
) -> list[SourceReport]:
    """Append the new rows of batches to the raw tables, fill the run's record, and return a report for each source."""
    staging = staging_rules(rules.dbt_vars)
    complete_feed = None
    if any(batch.arrivals and batch.arrivals.source.complete for batch in batches):
        complete_feed = CompleteFeed(connection, latest_row_rules("items", rules.dbt_vars), rules.dbt_vars)
    entries: list[dict[str, Any]] = []
    reports = []
    times = ArrivalTimes.of_warehouse(connection)
    for number, batch in enumerate(batches, start=1):
        # each source gets a later time than the one before, because the later of two rows replaces the earlier
        loaded_at = times.next()
        batch = _with_waiting_rows(connection, batch, rules, loaded_at, said)
        arrivals = batch.arrivals
        counts: dict[str, int] = {}
        if arrivals:
            with named_errors(batch.feed):
                counts = append_arrivals(connection, arrivals, rules.dbt_vars, loaded_at)
            if complete_feed and arrivals.source.complete:
                complete_feed.record_listed_items(
                    arrivals.unreadable_count, is_superseded=arrivals.source.is_superseded
                )
            # the report of the last items covers earlier events; events of this load have reports of their own
            later = {other.arrivals.source.table for other in batches[number:] if other.arrivals}
            report = report_source(
                connection,
                arrivals.source.table,
                staging,
                sampled_table=arrivals.relation,
                event_ids_relation=arrivals.event_ids_relation,
                with_known_events=later <= {"visitors", "impressions"},
            )
            reports.append(replace(report, attributes=arrivals.attributes))
            entries.append(_record_entry(batch, arrivals, counts, reports[-1]))
        if batch.feed:
            per_file = file_counts(connection, batch, counts, loaded_at)
            for part, numbers in zip(batch.parts, per_file, strict=True):
                remember_file(connection, batch.feed.name, part.present_file, batch.feed.definition, numbers, loaded_at)
    _fill_record(run_record, entries, has_feeds=any(batch.feed for batch in batches))
    if complete_feed:
        _withdraw(complete_feed, batches, entries, run_record, rules, times.next())
    return reports


def _with_waiting_rows(
    connection: Connection, batch: Batch, rules: LoadRules, loaded_at: datetime, said: set[tuple[str, str]]
) -> Batch:
    """Append the rows of a batch that are still in their files, and return the batch with what is known of them then.

    Raises
    ------
    DirectAppendError
        If DuckDB refuses a row, or a file has changed.
    """
    arrivals = batch.arrivals
    if not arrivals or not arrivals.waiting:
        return batch
    try:
        appended = append_directly(connection, arrivals, rules.dbt_vars, loaded_at)
    except (duckdb.Error, FilesChangedError) as error:
        raise DirectAppendError from error
    for note in appended.notes:
        say_once(printable(feed_text(batch.feed, note) if batch.feed else note), said)
    return replace(batch, arrivals=appended)


def _record_entry(batch: Batch, arrivals: Arrivals, counts: Mapping[str, int], report: SourceReport) -> dict[str, Any]:
    """Return a source's entry for the run's record: its table, file, counts and report, and the feed's files."""
    described = report.as_dictionary() | {"warnings": report_warnings(report)}
    entry = {"table": arrivals.source.table, "file": arrivals.source.path, **counts, "report": described}
    if batch.feed:
        entry |= {"feed": batch.feed.name, "parts": [part.present_file.file.name for part in batch.parts]}
    return entry


def _fill_record(run_record: JobRun, entries: Sequence[dict[str, Any]], *, has_feeds: bool) -> None:
    """Add the sums by table to the run's record, and the entries of sources if there are several, or feeds."""
    for entry in entries:
        sums = run_record.detail.setdefault(entry["table"], {})
        for name in COUNT_NAMES:
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
    loaded_at: datetime,
) -> None:
    """Withdraw the items that a complete feed lacks, and add their number to the feed's entry."""
    feed = next((batch.feed for batch in batches if batch.arrivals and batch.arrivals.source.complete), None)
    with named_errors(feed):
        withdrawn = complete_feed.withdraw_unlisted_items(loaded_at, rules.max_withdrawn_share)
    run_record.detail["items"]["withdrawn"] = withdrawn
    if feed:
        next(entry for entry in reversed(entries) if entry.get("feed") == feed.name)["withdrawn"] = withdrawn


def _describe_feeds(news: Sequence[FeedNews], run_record: JobRun) -> None:
    """Add the result of each feed to the detail of the run's record."""
    if news:
        run_record.detail["feeds"] = {
            each.feed.name: {
                "files": [present_file.file.name for present_file in each.files],
                "notes": list(each.notes),
            }
            for each in news
        }
