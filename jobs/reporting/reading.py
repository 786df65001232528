"""Reading what the report shows: each query of ``sql/report`` as a small frame."""

from typing import Final

import duckdb
import polars as pl

from jobs.files import sql_text
from jobs.warehouse.connection import Connection

QUERIES: Final = (
    "funnel",
    "rejects",
    "builds",
    "totals",
    "coverage",
    "costs",
    "models",
    "concentration",
    "lorenz",
    "publications",
    "outcomes",
    "uplift",
    "placements",
    "rules",
    "visitors",
    "lists",
    "items",
)

Frames = dict[str, pl.DataFrame]


def read_frames(connection: Connection) -> Frames:
    """Return the rows of each query by the query's name; a frame without columns where a table is not built yet.

    DuckDB aggregates, so a frame holds at most a few thousand rows, however large the warehouse is.
    """
    return {name: _read(connection, name) for name in QUERIES}


def _read(connection: Connection, name: str) -> pl.DataFrame:
    try:
        frame = connection.execute(sql_text(f"report/{name}.sql")).pl()
    # BinderException: a table of an earlier version lacks a column, or a view reads a database that is not attached
    except (duckdb.CatalogException, duckdb.BinderException):
        return pl.DataFrame()
    return frame.with_columns(pl.selectors.decimal().cast(pl.Float64))  # drawings know no decimals
