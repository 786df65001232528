"""Gives events the user agent of the visitor's browser, by which bots are recognized."""

import duckdb

from jobs.warehouse.migrations.added_columns import add_column


def upgrade(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the column ``user_agent`` to ``raw.events``."""
    add_column(connection, "raw.events", "user_agent", "varchar")
