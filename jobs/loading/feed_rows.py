"""Reads the rows of a feed's new files, and groups them into batches that are appended together."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import duckdb

from jobs.errors import NextmartError
from jobs.loading.arrivals import Arrivals
from jobs.loading.feed_files import FeedFile, mask_variable_values, natural_sort_key
from jobs.loading.feed_settings import Feed
from jobs.loading.files_to_load import FilesToLoad, catalogue_name
from jobs.loading.loaded_files import FileOnDisk
from jobs.loading.mapping import APPEND_ONLY_TABLES, TABLE_COLUMNS
from jobs.loading.sources import LoadSource, NoRowsError
from jobs.warehouse.connection import Connection, count_rows, literal

_KEYS = {
    "--map": 'map = {our_column = "their_column"}',
    "--where": 'where = "…"',
    "--format": 'format = "csv"',
    "--encoding": 'encoding = "cp1252"',
    "--delimiter": 'delimiter = ";"',
    "--columns": 'columns = ["visitor_id", …]',
    "--attributes": 'attributes = ["their_column", …]',
    "--time-format": 'time_format = "%d.%m.%Y %H:%M"',
}
"""An option of the command line, as error messages name it -> the equivalent key of a feed in ``nextmart.toml``."""
_NOTES_SHOWN = 5


class SourceReader(Protocol):
    """A function that reads a source's rows, or only a hash of each row, into a temporary table."""

    def __call__(self, source: LoadSource, temp_table: str) -> Arrivals:
        """Read a source's rows into the temporary table ``temp_table``; of large files, only a hash of each row."""


@dataclass(frozen=True)
class BatchFile:
    """A file of a batch, with the rows that come from it.

    Attributes
    ----------
    file_on_disk : FileOnDisk
    arrivals : Arrivals, optional
        The rows of the file; None if it has none.
    """

    file_on_disk: FileOnDisk
    arrivals: Arrivals | None


@dataclass(frozen=True)
class RowBatch:
    """The rows of one or more files, which are appended to a raw table together.

    Attributes
    ----------
    arrivals : Arrivals, optional
        The rows; None if the files have none.
    feed : Feed, optional
        The feed of the rows; None if the command line names their files.
    files : tuple of BatchFile
        The files of the batch; empty if the command line names them, or the feed reads an attached table.
    """

    arrivals: Arrivals | None
    feed: Feed | None = None
    files: tuple[BatchFile, ...] = ()


def read_feed_files(
    connection: Connection, files_to_load: FilesToLoad, read_one_source: SourceReader, temp_table_names: Iterator[str]
) -> list[RowBatch]:
    """Read the new files of a feed into temporary tables, and return their rows in batches.

    All new files of events, or of impressions, form one batch. Each file of items is a batch of its own, because an
    item's row in a later file replaces that in an earlier file.

    Parameters
    ----------
    read_one_source : SourceReader
        Reads the rows of one file, or of the attached table.
    temp_table_names : iterator of str
        Unused names for temporary tables.

    Raises
    ------
    NextmartError
        If a file can't be read. The message names the feed.
    """
    feed = files_to_load.feed
    if feed.attached_table:
        with name_feed_in_errors(feed):
            try:
                return [RowBatch(read_one_source(feed.as_source(feed.attached_table), next(temp_table_names)), feed)]
            except NoRowsError:
                return [RowBatch(None, feed)]
    parts = tuple(
        BatchFile(each, _read_file(connection, feed, each.feed_file, read_one_source, next(temp_table_names)))
        for each in files_to_load.files
    )
    filled = [part for part in parts if part.arrivals]
    empty = tuple(part for part in parts if not part.arrivals)
    batches = [RowBatch(None, feed, empty)] if empty else []
    if feed.settings.kind in APPEND_ONLY_TABLES:
        if filled:
            batches.append(RowBatch(_merge_arrivals(connection, filled, next(temp_table_names)), feed, tuple(filled)))
        return batches
    newest = max((catalogue_name(part.file_on_disk.feed_file) for part in filled), key=natural_sort_key, default="")
    for part in filled:
        assert part.arrivals is not None  # noqa: S101 - filled
        is_superseded = feed.settings.complete and catalogue_name(part.file_on_disk.feed_file) != newest
        source = replace(part.arrivals.source, is_superseded=is_superseded)
        batches.append(RowBatch(replace(part.arrivals, source=source), feed, (part,)))
    return batches


def row_counts_of_files(
    connection: Connection, batch: RowBatch, row_counts_of_batch: Mapping[str, int], loaded_at: datetime
) -> list[dict[str, int]]:
    """Return, for each file of an appended batch, the numbers of its read, loaded and unreadable rows.

    Parameters
    ----------
    row_counts_of_batch : mapping
        The numbers of rows of the whole batch, as ``append_arrivals`` returns them.
    loaded_at : datetime
        The ``loaded_at`` of the appended rows.

    Returns
    -------
    for each file: ``read``, ``loaded`` and ``unreadable`` -> number of rows. A new row that several files have is
    counted as loaded from the first of them.
    """
    if not batch.files:
        return []
    arrivals = [part.arrivals for part in batch.files]
    if batch.arrivals and batch.arrivals.loaded_row_counts_of_files:
        loaded = list(batch.arrivals.loaded_row_counts_of_files)
    elif len(arrivals) == 1:
        loaded = [row_counts_of_batch.get("loaded", 0)]
    elif row_counts_of_batch.get("loaded", 0) == sum(each.count_without_repeats for each in arrivals if each):
        loaded = [each.count_without_repeats if each else 0 for each in arrivals]
    else:
        relations = [each.relation for each in arrivals if each]
        table = next(each.source.table for each in arrivals if each)
        loaded = _loaded_row_counts_of_relations(connection, table, relations, loaded_at)
    return [
        {
            "read": each.read_count if each else 0,
            "loaded": number,
            "unreadable": each.unreadable_count if each else 0,
        }
        for each, number in zip(arrivals, loaded, strict=True)
    ]


@contextmanager
def name_feed_in_errors(feed: Feed | None, file: FeedFile | None = None) -> Iterator[None]:
    """Put the feed's name before errors of a ``with`` block, and mask values of environment variables in them."""
    try:
        yield
    except (NextmartError, duckdb.Error) as error:
        if feed is None or str(error).startswith(f"feed {feed.name}: "):
            raise
        error_type = type(error) if isinstance(error, NextmartError) else NextmartError
        raise error_type(feed_message(feed, str(error), file)) from error


def feed_message(feed: Feed, text: str, file: FeedFile | None = None) -> str:
    """Return a message about a feed from a text about its source.

    The message begins with the feed's name, adds the feed's keys for the options that the text names, and masks values
    of environment variables.
    """
    if file:
        text = text.replace(file.path, file.masked_path)
    keys = [key for option, key in _KEYS.items() if re.search(rf"{option}\b", text)]
    advice = f"\nA feed says it in nextmart.toml, below [feeds.{feed.name}]: {'; '.join(keys)}" if keys else ""
    return f"feed {feed.name}: {mask_variable_values(feed, text)}{advice}"


def _read_file(
    connection: Connection, feed: Feed, file: FeedFile, read_one_source: SourceReader, temp_table: str
) -> Arrivals | None:
    """Read a file of a feed; return None if it has no rows. Notes and unreadable rows name it by its masked path."""
    with name_feed_in_errors(feed, file):
        try:
            arrivals = read_one_source(feed.as_source(file.path), temp_table)
        except NoRowsError:
            return None
    if arrivals.unreadable_relation:
        connection.execute(f"update {arrivals.unreadable_relation} set file = {literal(file.masked_path)}")
    return replace(
        arrivals,
        source=replace(arrivals.source, path=file.masked_path),
        notes=tuple(feed_message(feed, note, file) for note in arrivals.notes),
        unreadable_examples=tuple(
            example.replace(file.path, file.masked_path) for example in arrivals.unreadable_examples
        ),
    )


def _merge_arrivals(connection: Connection, batch_files: Sequence[BatchFile], temp_table: str) -> Arrivals:
    """Return the rows of several files as one ``Arrivals``, without rows that several files repeat."""
    arrivals = [part.arrivals for part in batch_files if part.arrivals]
    if len(arrivals) == 1:
        return arrivals[0]
    waiting = tuple(file for each in arrivals for file in each.direct_append_files)
    read_count = sum(each.read_count for each in arrivals)
    if not waiting:
        union = " union all by name ".join(f"from {each.relation}" for each in arrivals)
        connection.execute(f"create or replace temp table {temp_table} as select distinct * from ({union})")
    unreadable = [each.unreadable_relation for each in arrivals if each.unreadable_relation]
    if unreadable:
        union = " union all by name ".join(f"from {each}" for each in unreadable)
        connection.execute(f"create or replace temp table {temp_table}_unreadable as {union}")
    notes = [note for each in arrivals for note in each.notes]
    if len(notes) > _NOTES_SHOWN:
        more = f"feed {arrivals[0].source.feed_name}: {len(notes) - _NOTES_SHOWN:,} more such notes on other files"
        notes = [*notes[:_NOTES_SHOWN], more]
    return Arrivals(
        source=replace(arrivals[0].source, path=f"{len(arrivals):,} files"),
        relation=temp_table,
        read_count=read_count,
        count_without_repeats=read_count if waiting else count_rows(connection, temp_table),
        given_columns=frozenset().union(*(each.given_columns for each in arrivals)),
        notes=tuple(notes),
        unreadable_relation=f"{temp_table}_unreadable" if unreadable else None,
        unreadable_count=sum(each.unreadable_count for each in arrivals),
        unreadable_examples=tuple(example for each in arrivals for example in each.unreadable_examples),
        direct_append_files=waiting,
    )


def _loaded_row_counts_of_relations(
    connection: Connection, table: str, relations: Sequence[str], loaded_at: datetime
) -> list[int]:
    """Return how many rows loaded at ``loaded_at`` each relation has; a row of several relations counts for the first.

    Parameters
    ----------
    table : str
        The raw table, such as ``events``.
    relations : sequence of str
        Tables or views with the rows that were to be loaded.
    """
    names = ", ".join(TABLE_COLUMNS[table])
    union = " union all ".join(
        f"select {number} as file_number, {names} from {relation}" for number, relation in enumerate(relations)
    )
    same = " and ".join(f"arrived.{name} is not distinct from new.{name}" for name in TABLE_COLUMNS[table])
    rows = connection.execute(
        "select file_number, count(*) from "
        f"(select min(file_number) as file_number, {names} from ({union}) group by all) "
        f"as arrived semi join (from raw.{table} where loaded_at = $loaded_at) as new on {same} group by all",
        {"loaded_at": loaded_at},
    ).fetchall()
    by_number = dict(rows)
    return [by_number.get(number, 0) for number in range(len(relations))]
