"""Reads what the report shows from the warehouse: the rows of each query in ``sql/report`` as a small data frame."""

from typing import Final

import duckdb
import polars as pl

from jobs.files import sql_text
from jobs.warehouse.connection import Connection

QUERIES: Final = (
    "event_to_list_funnel",
    "reject_reason_counts",
    "builds",
    "item_counts",
    "category_coverage",
    "costs",
    "models",
    "concentration",
    "lorenz",
    "publications",
    "outcomes",
    "uplift",
    "placements",
    "placement_rules",
    "newest_items_of_sampled_visitors",
    "lists_of_sampled_visitors",
    "popular_items",
)

Frames = dict[str, pl.DataFrame]
"""Rows of the report's queries, by the name of the query."""


def read_frames(connection: Connection) -> Frames:
    """Return the rows of each of the report's queries, by the name of the query.

    A frame has no columns if a table of its query is not built yet. It has at most a few thousand rows, because the
    queries aggregate.
    """
    return {name: _read_frame(connection, name) for name in QUERIES}


def _read_frame(connection: Connection, query_name: str) -> pl.DataFrame:
    try:
        frame = connection.execute(sql_text(f"report/{query_name}.sql")).pl()
    # DuckDB raises a BinderException if a table of an earlier version lacks a column, or a view reads a database that
    # is not attached
    except (duckdb.CatalogException, duckdb.BinderException):
        return pl.DataFrame()
    return frame.with_columns(pl.selectors.decimal().cast(pl.Float64))  # Vega can't draw values of type decimal
