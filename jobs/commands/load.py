"""`nextmart load`: append the new rows of files to the raw tables; known rows are not added again."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import duckdb

from jobs.commands.load_notes import say_feed_note
from jobs.commands.load_reading import read_sources
from jobs.commands.load_record import add_feeds_to_record, add_source_entries_to_record, source_entry
from jobs.loading.feed_rows import RowBatch, name_feed_in_errors, row_counts_of_files
from jobs.loading.feed_settings import Feed
from jobs.loading.files_to_load import FilesToLoad
from jobs.loading.item_and_visitor_rows import latest_row_rules
from jobs.loading.item_withdrawals import ItemWithdrawal
from jobs.loading.large_file_appends import FilesChangedError, append_directly
from jobs.loading.loaded_at_clock import LoadedAtClock
from jobs.loading.loaded_files import record_loaded_file, record_modification_time
from jobs.loading.raw_rows import append_arrivals
from jobs.loading.report import make_source_report
from jobs.loading.source_report import SourceReport
from jobs.loading.sources import LoadRules, LoadSource
from jobs.loading.staging_rules import staging_rules
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection, prepare_within_transaction, rolled_back_transaction, transaction
from jobs.warehouse.job_runs import JobRun


class DirectAppendError(Exception):
    """Rows could not be appended straight from their files, without a temporary table between."""


def load(
    connection: Connection, sources: Sequence[LoadSource | Feed], run_record: JobRun, load_rules: LoadRules
) -> list[SourceReport]:
    """Append the new rows of all sources to the raw tables, in one transaction: after an error nothing is loaded.

    Only new files of feeds are read; the same transaction records them in ``raw.loaded_files``. Unreadable rows are
    stored in ``raw.unreadable_rows``. Notes on feeds and rows, and the first unreadable rows, go to stderr.

    The column ``detail`` of the load in ``ml.job_runs`` gets the row counts, summed by table. If a table has several
    sources, or there are feeds, it also gets the counts of each source, under ``files``. The result of each feed is
    under ``feeds``.

    Returns
    -------
    A report for each source: what dbt's next build will make of its rows
    """
    return _load_in_transaction(transaction, connection, sources, run_record, load_rules)


def load_and_roll_back(
    connection: Connection, sources: Sequence[LoadSource | Feed], load_rules: LoadRules
) -> tuple[JobRun, list[SourceReport]]:
    """Do what ``load`` does and roll it back: the warehouse stays unchanged, and the run is not recorded.

    Returns
    -------
    The counts of a load, and a report for each source
    """
    run_record = JobRun(run_id="check", job="load", started_at=now())

    @contextmanager
    def begin_transaction(connection: Connection) -> Iterator[None]:
        with rolled_back_transaction(connection):
            prepare_within_transaction(connection)
            yield

    reports = _load_in_transaction(begin_transaction, connection, sources, run_record, load_rules)
    run_record.status = "checked" if all(report.usable_row_count for report in reports) else "unusable"
    return run_record, reports


def _load_in_transaction(
    begin_transaction: Callable[[Connection], AbstractContextManager[None]],
    connection: Connection,
    sources: Sequence[LoadSource | Feed],
    run_record: JobRun,
    load_rules: LoadRules,
) -> list[SourceReport]:
    """Read all sources, and append what is new in one transaction.

    Parameters
    ----------
    begin_transaction : function
        Begins the transaction, and ends it after a ``with`` block.
    """
    printed_notes: set[tuple[str, str]] = set()

    def read_and_append(copies_stack: ExitStack | None) -> list[SourceReport]:
        files_to_load_of_feeds, batches = read_sources(connection, sources, load_rules, printed_notes, copies_stack)
        with begin_transaction(connection):
            return _append_and_record(
                connection, files_to_load_of_feeds, batches, run_record, load_rules, printed_notes
            )

    try:
        with ExitStack() as copies_stack:
            return read_and_append(copies_stack)
    except DirectAppendError:
        # the files are read again, into temporary tables, to report the error or to leave out unreadable rows
        return read_and_append(None)


def _append_and_record(
    connection: Connection,
    files_to_load_of_feeds: Sequence[FilesToLoad],
    batches: Sequence[RowBatch],
    run_record: JobRun,
    load_rules: LoadRules,
    printed_notes: set[tuple[str, str]],
) -> list[SourceReport]:
    """Append the new rows to the raw tables, and record the loaded files of feeds and the results of the load."""
    reports = _append_batches(connection, batches, run_record, load_rules, printed_notes)
    for each in files_to_load_of_feeds:
        for file_on_disk in each.rewritten_unchanged_files:
            record_modification_time(connection, each.feed.name, file_on_disk)
    add_feeds_to_record(files_to_load_of_feeds, run_record)
    if not batches:
        run_record.status = "unchanged"
    return reports


def _append_batches(
    connection: Connection,
    batches: Sequence[RowBatch],
    run_record: JobRun,
    load_rules: LoadRules,
    printed_notes: set[tuple[str, str]],
) -> list[SourceReport]:
    """Append the new rows of batches to the raw tables, and add their counts to the run's record.

    Returns
    -------
    A report for each source
    """
    staging = staging_rules(load_rules.dbt_vars)
    item_withdrawal = None
    if any(batch.arrivals and batch.arrivals.source.is_whole_catalogue for batch in batches):
        item_withdrawal = ItemWithdrawal(
            connection, latest_row_rules("items", load_rules.dbt_vars), load_rules.dbt_vars
        )
    source_entries: list[dict[str, Any]] = []
    reports = []
    times = LoadedAtClock.of_warehouse(connection)
    for number, batch in enumerate(batches, start=1):
        # each source gets a later time than the source before: of two rows of an item, the later one counts
        loaded_at = times.next_loaded_at()
        batch = _append_rows_still_in_files(connection, batch, load_rules, loaded_at, printed_notes)
        arrivals = batch.arrivals
        counts: dict[str, int] = {}
        if arrivals:
            with name_feed_in_errors(batch.feed):
                counts = append_arrivals(connection, arrivals, load_rules.dbt_vars, loaded_at)
            if item_withdrawal and arrivals.source.is_whole_catalogue:
                item_withdrawal.record_listed_items(
                    arrivals.unreadable_count, is_superseded=arrivals.source.is_superseded
                )
            # a report on items says how the events loaded before match the catalogue. It leaves that out if this load
            # has further items, which change the catalogue, or events, whose own reports say it
            later = {other.arrivals.source.table for other in batches[number:] if other.arrivals}
            report = make_source_report(
                connection,
                arrivals.source.table,
                staging,
                table_to_sample=arrivals.relation,
                visitor_and_item_ids_relation=arrivals.visitor_and_item_ids_relation,
                match_loaded_events=later <= {"visitors", "impressions"},
            )
            reports.append(replace(report, attribute_choice=arrivals.attribute_choice))
            source_entries.append(source_entry(batch, arrivals, counts, reports[-1]))
        if batch.feed:
            per_file = row_counts_of_files(connection, batch, counts, loaded_at)
            for part, numbers in zip(batch.files, per_file, strict=True):
                record_loaded_file(
                    connection, batch.feed.name, part.file_on_disk, batch.feed.definition, numbers, loaded_at
                )
    add_source_entries_to_record(run_record, source_entries, has_feeds=any(batch.feed for batch in batches))
    if item_withdrawal:
        _withdraw_unlisted_items(
            item_withdrawal, batches, source_entries, run_record, load_rules, times.next_loaded_at()
        )
    return reports


def _append_rows_still_in_files(
    connection: Connection,
    batch: RowBatch,
    load_rules: LoadRules,
    loaded_at: datetime,
    printed_notes: set[tuple[str, str]],
) -> RowBatch:
    """Append the rows of a batch that were left in their files; return the batch with their counts and notes.

    A batch whose rows are in a temporary table is returned as it is.

    Raises
    ------
    DirectAppendError
        If DuckDB refuses a row, or a file has changed.
    """
    arrivals = batch.arrivals
    if not arrivals or not arrivals.direct_append_files:
        return batch
    try:
        appended = append_directly(connection, arrivals, load_rules.dbt_vars, loaded_at)
    except (duckdb.Error, FilesChangedError) as error:
        raise DirectAppendError from error
    for note in appended.notes:
        say_feed_note(batch.feed, note, printed_notes)
    return replace(batch, arrivals=appended)


def _withdraw_unlisted_items(
    item_withdrawal: ItemWithdrawal,
    batches: Sequence[RowBatch],
    source_entries: Sequence[dict[str, Any]],
    run_record: JobRun,
    load_rules: LoadRules,
    loaded_at: datetime,
) -> None:
    """Withdraw the items that a delivery of the whole catalogue lacks; add their number to the record and its entry."""
    feed = next((batch.feed for batch in batches if batch.arrivals and batch.arrivals.source.is_whole_catalogue), None)
    with name_feed_in_errors(feed):
        withdrawn = item_withdrawal.withdraw_unlisted_items(loaded_at, load_rules.max_withdrawn_share)
    run_record.detail["items"]["withdrawn"] = withdrawn
    if feed:
        next(entry for entry in reversed(source_entries) if entry.get("feed") == feed.name)["withdrawn"] = withdrawn
