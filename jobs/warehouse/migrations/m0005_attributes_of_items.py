"""Items have attributes: columns of the user's files that nextmart doesn't know, with their history.

dbt would add the columns of the history itself, and then make a new version of every item.
"""

import duckdb

from jobs.warehouse.migrations.added_columns import add_column


def upgrade(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the column ``attributes`` to ``raw.items``, and the columns of attributes to ``catalog.item_history``."""
    add_column(connection, "raw.items", "attributes", "json")
    add_column(connection, "catalog.item_history", "attributes", "json")
    add_column(connection, "catalog.item_history", "attributes_hash", "varchar")
