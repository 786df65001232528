"""Reads which files and how many rows of each feed have been loaded, for `nextmart status`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from jobs.errors import UsageError
from jobs.loading.feed_files import natural_sort_key, unmasked_path
from jobs.loading.feed_settings import Feed
from jobs.warehouse.connection import Connection

SELECT_LOADED_FILES = """
    -- each loaded file of a feed, with the sum of the rows of all its loads
    select path, max(loaded_at) as loaded_at, sum(rows_loaded)::bigint as rows_loaded
    from raw.loaded_files
    where feed = ?
    group by path
"""

_MISSING_FILES_SHOWN = 20


def feed_states(connection: Connection, feeds: Sequence[Feed]) -> list[dict[str, Any]]:
    """Return the state of each feed as a dictionary for JSON: which of its files were loaded, and how many rows.

    Returns
    -------
    list of dict
        ``feed``, ``kind``, ``table`` (an attached table; None for a feed of files), ``files`` (number of files),
        ``newest_file`` and ``newest_loaded_at`` (None if no file was loaded), ``rows_loaded``, ``missing`` (number of
        loaded files that can't be found any more), ``missing_files`` (the names of the first of them) and ``problem``
        (why files can't be looked for; None if they can).
    """
    return [_feed_state(connection, feed) for feed in feeds]


def _feed_state(connection: Connection, feed: Feed) -> dict[str, Any]:
    """Return one of the dictionaries of ``feed_states``."""
    try:
        rows = connection.execute(SELECT_LOADED_FILES, [feed.name]).fetchall()
    except duckdb.CatalogException:  # a warehouse of an earlier release lacks the table raw.loaded_files
        rows = []
    newest = max(rows, key=lambda row: (row[1], natural_sort_key(row[0])), default=(None, None, 0))
    missing, problem = [], None
    try:
        missing = sorted(
            (name for name, _, _ in rows if not Path(unmasked_path(feed, name)).exists()), key=natural_sort_key
        )
    except UsageError as error:
        problem = str(error)
    return {
        "feed": feed.name,
        "kind": feed.settings.kind,
        "table": feed.settings.table,
        "files": len(rows),
        "newest_file": newest[0],
        "newest_loaded_at": newest[1],
        "rows_loaded": sum(row[2] for row in rows),
        "missing": len(missing),
        "missing_files": missing[:_MISSING_FILES_SHOWN],
        "problem": problem,
    }
