"""Gives models the version of the layout of their stored weights; older models have none, and are trained again."""

import duckdb

from jobs.warehouse.migrations.added_columns import add_column


def upgrade(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the column ``schema_version`` to ``ml.models``."""
    add_column(connection, "ml.models", "schema_version", "integer")
