"""Gives items attributes: values of columns of the user's files that nextmart has no column for.

The table ``catalog.item_history`` gets its columns here, because dbt would make a new version of every item if it added
them.
"""

import duckdb

from jobs.warehouse.migrations.added_columns import add_column


def upgrade(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the column ``attributes`` to ``raw.items``, and the columns of attributes to ``catalog.item_history``."""
    add_column(connection, "raw.items", "attributes", "json")
    add_column(connection, "catalog.item_history", "attributes", "json")
    add_column(connection, "catalog.item_history", "attributes_hash", "varchar")
