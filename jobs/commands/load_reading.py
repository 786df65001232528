"""Reads the rows of all sources of a load into temporary tables, before `nextmart load` begins its transaction."""

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from jobs.commands.load_notes import say_feed_note, say_notes
from jobs.errors import NextmartError
from jobs.loading.arrivals import Arrivals, read_source
from jobs.loading.attributes import AttributeHints, missing_attributes, require_no_missing_attributes
from jobs.loading.feed_files import find_feed_files
from jobs.loading.feed_rows import RowBatch, feed_message, read_feed_files
from jobs.loading.feed_settings import Feed
from jobs.loading.files_to_load import FilesToLoad, find_files_to_load
from jobs.loading.large_file_hashes import can_append_directly, file_sizes_of_source, hash_source_rows
from jobs.loading.sources import LoadRules, LoadSource
from jobs.warehouse.connection import Connection

KINDS_IN_ORDER_OF_READING = ("items", "events", "visitors", "impressions")
"""The kinds of feeds. Items come first, so that the items of events are looked up in the newest catalogue."""


def read_sources(
    connection: Connection,
    sources: Sequence[LoadSource | Feed],
    load_rules: LoadRules,
    printed_notes: set[tuple[str, str]],
    copies_stack: ExitStack | None = None,
) -> tuple[list[FilesToLoad], list[RowBatch]]:
    """Read the files of all sources into temporary tables, and print notes and warnings about their rows.

    Parameters
    ----------
    printed_notes : set of (table, text)
        What was printed already; what is printed now is added.
    copies_stack : ExitStack, optional
        If given, large files of events are not read into temporary tables: their rows are appended from the files
        later. The stack then keeps the copies of those files that DuckDB can't read as they are.

    Raises
    ------
    NextmartError
        If a file can't be read, or a required feed has no new file with rows.
    """
    known_attributes: list[tuple[str, str]] = []
    paths_of_events = _paths_loaded_as_events(sources)
    feeds_with_large_files: set[str] = set()  # filled below, before the first feed is read

    def has_large_files(source: LoadSource) -> bool:
        if source.feed_name is not None:
            return source.feed_name in feeds_with_large_files
        return can_append_directly(connection, source.table, file_sizes_of_source(connection, source))

    def read_rows(source: LoadSource, temp_table: str) -> Arrivals:
        if copies_stack is not None and has_large_files(source):
            return hash_source_rows(connection, source, temp_table, copies_stack)
        spellings = {name.lower(): name for table, name in known_attributes if table == source.table}
        attribute_hints = AttributeHints(spellings, rows_are_also_events=Path(source.path).resolve() in paths_of_events)
        arrivals = read_source(connection, source, load_rules.dbt_vars, temp_table, attribute_hints=attribute_hints)
        known_attributes.extend((source.table, name) for name in arrivals.attribute_choice.column_of_attribute)
        return arrivals

    relations = (f"arrived_rows_{number}" for number in count())
    batches = [RowBatch(read_rows(source, next(relations))) for source in sources if isinstance(source, LoadSource)]
    require_no_missing_attributes([batch.arrivals.attribute_choice for batch in batches if batch.arrivals])
    files_to_load_of_feeds = _find_files_of_feeds(
        connection, [source for source in sources if isinstance(source, Feed)], printed_notes
    )
    feeds_with_large_files.update(
        each.feed.name
        for each in files_to_load_of_feeds
        if can_append_directly(connection, each.feed.settings.kind, [file.size_bytes for file in each.files])
    )
    for each in files_to_load_of_feeds:
        batches_of_feed = read_feed_files(connection, each, read_rows, relations)
        _require_rows_of_required_feed(each, has_rows=any(batch.arrivals for batch in batches_of_feed))
        choices = [batch.arrivals.attribute_choice for batch in batches_of_feed if batch.arrivals]
        for name in missing_attributes(choices):
            say_feed_note(each.feed, f"attributes: the new files have no column '{name}'", printed_notes)
        batches += batches_of_feed
    for batch in batches:
        say_notes(batch, printed_notes)
    return files_to_load_of_feeds, batches


def _find_files_of_feeds(
    connection: Connection, feeds: Sequence[Feed], printed_notes: set[tuple[str, str]]
) -> list[FilesToLoad]:
    """Find the new files of feeds, in the order in which they are read, and print notes on them.

    Raises
    ------
    NextmartError
        If a required feed has no new file.
    """
    in_order = sorted(feeds, key=lambda feed: KINDS_IN_ORDER_OF_READING.index(feed.settings.kind))
    files_to_load_of_feeds = [find_files_to_load(connection, feed) for feed in in_order]
    for each in files_to_load_of_feeds:
        for note in each.notes:
            say_feed_note(each.feed, note, printed_notes)
        _require_rows_of_required_feed(each, has_rows=bool(each.files or each.feed.attached_table))
    return files_to_load_of_feeds


def _paths_loaded_as_events(sources: Sequence[LoadSource | Feed]) -> set[Path]:
    """Return the absolute paths of all files that are loaded as events, including files of feeds loaded before."""
    paths: list[str] = []
    for source in sources:
        if isinstance(source, LoadSource):
            paths += [source.path] if source.table == "events" else []
        elif source.settings.kind == "events":
            paths += (
                [source.attached_table] if source.attached_table else [file.path for file in find_feed_files(source)]
            )
    return {Path(path).resolve() for path in paths}


def _require_rows_of_required_feed(files_to_load: FilesToLoad, *, has_rows: bool) -> None:
    """Raise an error if a feed with ``required = true`` has no new rows."""
    if files_to_load.feed.settings.required and not has_rows:
        reason = "its table has no rows" if files_to_load.feed.attached_table else "its new files have no rows"
        if files_to_load.notes and not files_to_load.files:
            reason = files_to_load.notes[-1]
        raise NextmartError(
            feed_message(
                files_to_load.feed, f"{reason}. The feed says required = true, so nothing was loaded of any feed."
            )
        )
