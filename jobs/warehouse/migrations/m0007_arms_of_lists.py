"""Adds to the tables of lists the column ``arm``: the arm of the experiment for which a list was made.

The setting [arms] divides visitors into the arms ``model`` and ``control``. All lists that exist
before the upgrade get the arm ``model``.
"""

import duckdb

from jobs.warehouse.migrations.added_columns import add_column


def upgrade(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the column ``arm`` to ``ml.recommendations`` and ``ml.placement_lists``."""
    for table in ("ml.recommendations", "ml.placement_lists"):
        add_column(connection, table, "arm", "varchar default 'model'")
