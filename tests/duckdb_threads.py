"""Once imported, the environment variable ``TESTS_DUCKDB_THREADS`` sets the number of threads of DuckDB's connections.

DuckDB has as many threads as the machine has cores, and a query on a tiny table loses a fifth of its time to them.
"""

import os
from pathlib import Path
from typing import Any

import duckdb

VARIABLE = "TESTS_DUCKDB_THREADS"

_original_connect = duckdb.connect


def _connect(
    database: str | Path = ":memory:", read_only: bool = False, config: dict[str, Any] | None = None
) -> duckdb.DuckDBPyConnection:
    options = {"threads": os.environ[VARIABLE]} if VARIABLE in os.environ else {}
    return _original_connect(database, read_only=read_only, config=options | (config or {}))


duckdb.connect = _connect
