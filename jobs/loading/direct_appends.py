"""Appends the events of large files to an empty ``raw.events`` in one pass, and removes repeated rows afterwards.

Other loads put the rows into a temporary table first, and compare them with the rows of the raw table. An empty raw
table has no rows to compare with, so the temporary table is not needed.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from jobs.errors import NextmartError
from jobs.loading.arrival_times import ArrivalTimes
from jobs.loading.arrivals import Arrivals, suspicion_notes
from jobs.loading.file_listing import find_source_files
from jobs.loading.mapped_rows import mapped_query
from jobs.loading.mapping import TABLE_COLUMNS
from jobs.loading.preset_sources import open_source_relation
from jobs.loading.sources import SourceFiles
from jobs.loading.suspicions import decimal_id_notes
from jobs.warehouse.connection import Connection, count_rows, is_own_table

DIRECT_BYTES: Final = 256 << 20
"""The least bytes of files that are appended directly; smaller files load as fast by way of a temporary table."""
HASHES_IN_MEMORY: Final = 1 << 26
"""About the largest number of hashes, of eight bytes each, that are sorted in memory at a time."""
FEW_ROWS: Final = 0.05

COLUMNS: Final = ", ".join(TABLE_COLUMNS["events"])

KEEP_ONE_OF_EACH = """
    create or replace temp table single_events as
    select distinct {columns}, loaded_at from raw.events where {is_suspect}
"""


def can_append_directly(connection: Connection, source: SourceFiles) -> bool:
    """Tell whether a source's rows can be appended directly: large files of events, for an empty table of events."""
    if source.table != "events" or source.time_formats:
        return False
    try:
        files = find_source_files(connection, source)
    except NextmartError:
        return False  # read_source raises the error that says what is wrong with the files
    if sum(Path(file.path).stat().st_size for file in files if Path(file.path).is_file()) < DIRECT_BYTES:
        return False
    return is_own_table(connection, "raw", "events") and count_rows(connection, "(from raw.events limit 1)") == 0


def append_directly(connection: Connection, source: SourceFiles, variables: Mapping[str, Any]) -> Arrivals:
    """Append the rows of large files of events to the empty ``raw.events``, each once, in the open transaction.

    Parameters
    ----------
    variables : mapping
        Values of the dbt vars, by which dbt's staging will read the rows.

    Raises
    ------
    duckdb.Error, NextmartError
        If the files can't be read, or a row is unreadable. The caller rolls back the transaction and calls
        ``read_source``, which leaves unreadable rows out, or says what is wrong.
    """
    loaded_at = ArrivalTimes.of_warehouse(connection).next()
    with TemporaryDirectory(prefix="nextmart-") as folder:
        source, files = open_source_relation(connection, source, Path(folder))
        selection = mapped_query(connection, source, files)
        connection.execute(
            f"insert into raw.events by name select *, $loaded_at as loaded_at from ({selection.sql})",
            {"loaded_at": loaded_at},
        )
    read_count = count_rows(connection, "raw.events")
    if not read_count:
        raise NextmartError(f"{source.path} holds no rows; nothing was loaded")
    repeated_count, has_repeated_ids = remove_repeated_events(connection)
    relation = "raw.events"  # the table has this source's rows alone; DuckDB samples a view of a whole table fast
    connection.execute(f"create or replace temp view incoming as from {relation}")
    notes = decimal_id_notes(connection, selection.types)
    told_columns = selection.given_columns - (set() if has_repeated_ids else {"event_id"})
    notes += suspicion_notes(connection, source, told_columns, variables)
    return Arrivals(
        source,
        relation,
        read_count,
        read_count - repeated_count,
        selection.given_columns,
        notes=tuple(f"{source.path}: {note}" for note in notes),
        appended_at=loaded_at,
    )


def remove_repeated_events(connection: Connection) -> tuple[int, bool]:
    """Remove rows of ``raw.events`` that repeat another row; all rows of the table come from the load in progress.

    Only rows whose hashes are equal are compared: most files have none, since every event has an id of its own.

    Returns
    -------
    tuple of (int, bool)
        Number of rows that were removed, and whether an event id stands in several of the rows that remain.
    """
    rows = count_rows(connection, "raw.events")
    row_hash = "hash(event_id)"
    suspects = _repeated_hashes(connection, row_hash, rows)
    if not len(suspects):
        return 0, False
    if _suspect_rows(connection, row_hash, suspects) > FEW_ROWS * rows:
        row_hash = f"hash({COLUMNS})"
        suspects = _repeated_hashes(connection, row_hash, rows)
    is_suspect = f"{row_hash} in (select row_hash from suspect_hashes)"
    if _suspect_rows(connection, row_hash, suspects):
        connection.execute(KEEP_ONE_OF_EACH.format(columns=COLUMNS, is_suspect=is_suspect))
        connection.execute(f"delete from raw.events where {is_suspect}")
        connection.execute("insert into raw.events by name from single_events")
    return rows - count_rows(connection, "raw.events"), True


def _repeated_hashes(connection: Connection, row_hash: str, rows: int) -> np.ndarray:
    """Return the hashes that several rows of ``raw.events`` have in common: uint64 array, ascending, distinct."""
    parts = max(1, math.ceil(rows / HASHES_IN_MEMORY))
    found = []
    for part in range(parts):
        where = f"where {row_hash} % {parts} = {part}" if parts > 1 else ""
        hashes = connection.execute(f"select {row_hash} as row_hash from raw.events {where}").fetchnumpy()["row_hash"]
        hashes.sort()
        found.append(np.unique(hashes[1:][hashes[1:] == hashes[:-1]]))
    return np.sort(np.concatenate(found))


def _suspect_rows(connection: Connection, row_hash: str, hashes: np.ndarray) -> int:
    """Put hashes into the table ``suspect_hashes``, and return how many rows of ``raw.events`` have one of them."""
    connection.execute("create or replace temp table suspect_hashes (row_hash ubigint)")
    if len(hashes):
        connection.register("repeated_hashes", {"row_hash": hashes})
        connection.execute("insert into suspect_hashes select row_hash from repeated_hashes")
        connection.unregister("repeated_hashes")
    return count_rows(connection, f"raw.events where {row_hash} in (select row_hash from suspect_hashes)")
