"""Events of large files, appended to an empty ``raw.events`` in one pass; rows that repeat others are removed after it.

A load of other sources goes by way of temporary tables, which hold the rows before they are compared with known ones.
Nothing is known to an empty table, so its rows can be compared where they are.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from jobs.errors import NextmartError
from jobs.loading.arrivals import Arrivals, suspicion_notes
from jobs.loading.file_listing import found_files
from jobs.loading.mapped_rows import mapped_selection
from jobs.loading.mapping import TABLE_COLUMNS
from jobs.loading.preset_sources import open_source
from jobs.loading.sources import SourceFiles
from jobs.loading.suspicions import decimal_id_notes
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection, count_rows, is_own_table

DIRECT_BYTES: Final = 256 << 20
"""Files of at least so many bytes are appended directly. Smaller ones gain nothing by it."""
HASHES_IN_MEMORY: Final = 1 << 26
"""At most about so many hashes, of eight bytes each, are sorted in memory at a time."""
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
        files = found_files(connection, source)
    except NextmartError:
        return False  # reading says what is wrong
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
        If anything is wrong with the files. ``read_source`` says what, or reads all but the unreadable rows, after the
        transaction is rolled back.
    """
    loaded_at = now()
    with TemporaryDirectory(prefix="nextmart-") as folder:
        source, files = open_source(connection, source, Path(folder))
        selection = mapped_selection(connection, source, files)
        connection.execute(
            f"insert into raw.events by name select *, $loaded_at as loaded_at from ({selection.sql})",
            {"loaded_at": loaded_at},
        )
    read_count = count_rows(connection, "raw.events")
    if not read_count:
        raise NextmartError(f"{source.path} holds no rows; nothing was loaded")
    repeated_count, has_repeated_ids = remove_repeated_events(connection)
    relation = "raw.events"  # all of its rows are of this source; a view of them all can be sampled fast
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
    """Remove rows of ``raw.events`` that repeat another row, where all rows are of the load in progress.

    Only rows with the hash of another row are compared: in most files no row has, since every event has an id.

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
    """Return the values of an SQL hash that several rows of ``raw.events`` have: uint64, ascending, each once."""
    parts = max(1, math.ceil(rows / HASHES_IN_MEMORY))
    found = []
    for part in range(parts):
        where = f"where {row_hash} % {parts} = {part}" if parts > 1 else ""
        hashes = connection.execute(f"select {row_hash} as row_hash from raw.events {where}").fetchnumpy()["row_hash"]
        hashes.sort()
        found.append(np.unique(hashes[1:][hashes[1:] == hashes[:-1]]))
    return np.sort(np.concatenate(found))


def _suspect_rows(connection: Connection, row_hash: str, hashes: np.ndarray) -> int:
    """Fill the temporary table ``suspect_hashes``, and return the number of rows that have one of the hashes."""
    connection.execute("create or replace temp table suspect_hashes (row_hash ubigint)")
    if len(hashes):
        connection.register("repeated_hashes", {"row_hash": hashes})
        connection.execute("insert into suspect_hashes select row_hash from repeated_hashes")
        connection.unregister("repeated_hashes")
    return count_rows(connection, f"raw.events where {row_hash} in (select row_hash from suspect_hashes)")
