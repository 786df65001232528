"""Finds events that may repeat another event, by the hashes of their columns, before any event is written."""

import math
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import numpy as np

from jobs.loading.mapping import TABLE_COLUMNS
from jobs.warehouse.connection import Connection, count_rows

HASHES_IN_MEMORY: Final = 1 << 25
"""At most about so many hashes, of eight bytes each, are sorted in memory at a time, while as many are read."""

EVENT_COLUMNS: Final = ", ".join(TABLE_COLUMNS["events"])
ID_HASH: Final = "hash(event_id)"
"""The hash of an event's id. In most files every row has an id of its own, so it is enough to read this column."""
ROW_HASH: Final = f"hash({EVENT_COLUMNS})"
"""The hash of all columns."""
VALUES_HASH: Final = f"hash({', '.join(name for name in TABLE_COLUMNS['events'] if name != 'event_id')})"
"""The hash of all columns but the id, for files whose ids are made from the other columns."""

INSERT_HASHES_OF_LOADED_ROWS = """
    insert into possible_repeat_hashes
    select distinct row_hash from (select {row_hash} as row_hash from raw.events) semi join {hashes} using (row_hash)
"""


def repeated_hashes(connection: Connection, hashes_relation: str) -> tuple[np.ndarray, int]:
    """Return the hashes that several rows of a relation have in its column ``row_hash``, and the number of these rows.

    A second thread sorts each part of the hashes while DuckDB reads the next one.

    Returns
    -------
    tuple of (uint64, shape (repeated hashes,), ascending, each once; int)
    """
    parts = max(1, math.ceil(count_rows(connection, hashes_relation) / HASHES_IN_MEMORY))
    found: list[tuple[np.ndarray, int]] = []
    with ThreadPoolExecutor(max_workers=1) as sorting_thread:
        sorting: Future[tuple[np.ndarray, int]] | None = None
        for part in range(parts):
            where = f"where row_hash % {parts} = {part}" if parts > 1 else ""
            values = connection.execute(f"select row_hash from {hashes_relation} {where}").fetchnumpy()["row_hash"]
            if sorting:
                found.append(sorting.result())
            sorting = sorting_thread.submit(_repeated_values, values)
        if sorting:
            found.append(sorting.result())
    return np.sort(np.concatenate([values for values, _ in found])), sum(count for _, count in found)


def _repeated_values(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Sort ``values`` in place; return those that stand in it several times, each once, and how many places they take.

    Parameters
    ----------
    values : uint64, shape (values,)
    """
    values.sort()
    repeats = values[1:][values[1:] == values[:-1]]
    repeated = np.unique(repeats)
    return repeated, len(repeats) + len(repeated)


def fill_possible_repeat_hashes(
    connection: Connection, hashes_relation: str, row_hash_sql: str, *, has_loaded_events: bool
) -> int:
    """Fill the temporary table ``possible_repeat_hashes`` with the hashes of arrived rows that may repeat another row.

    A row whose hash is not in that table equals no other arrived row and no row of ``raw.events``.

    Parameters
    ----------
    hashes_relation : str
        Relation with the hash of each arrived row in the column ``row_hash``.
    row_hash_sql : str
        SQL of that hash over the columns of ``raw.events``.
    has_loaded_events : bool
        Whether the arrived rows may repeat rows of ``raw.events``.

    Returns
    -------
    Number of arrived rows whose hash is in that table
    """
    connection.execute("create or replace temp table possible_repeat_hashes (row_hash ubigint)")
    repeated, repeated_row_count = repeated_hashes(connection, hashes_relation)
    if len(repeated):
        connection.register("repeated_hashes", {"row_hash": repeated})
        connection.execute("insert into possible_repeat_hashes select row_hash from repeated_hashes")
        connection.unregister("repeated_hashes")
    if not has_loaded_events:
        return repeated_row_count
    connection.execute(INSERT_HASHES_OF_LOADED_ROWS.format(row_hash=row_hash_sql, hashes=hashes_relation))
    if not count_rows(connection, "possible_repeat_hashes"):
        return 0
    return count_rows(connection, f"{hashes_relation} where row_hash in (select row_hash from possible_repeat_hashes)")


def is_possible_repeat_sql(row_hash_sql: str) -> str:
    """Return the condition that the table ``possible_repeat_hashes`` has a row's hash, whose SQL is given."""
    return f"{row_hash_sql} in (select row_hash from possible_repeat_hashes)"


def possible_repeats_sql(mapped_rows_sql: str, row_hash_sql: str) -> str:
    """Return a query of the mapped rows whose hashes are in the table ``possible_repeat_hashes``.

    Parameters
    ----------
    mapped_rows_sql : str
        Query of the mapped rows.
    row_hash_sql : str
        SQL of a row's hash.
    """
    return f"select * from ({mapped_rows_sql}) where {is_possible_repeat_sql(row_hash_sql)}"
