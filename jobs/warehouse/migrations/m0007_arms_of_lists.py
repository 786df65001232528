"""Lists say for which arm they were made: the model's, or that of the control ([arms] in nextmart.toml).

All lists of before are the model's.
"""

import duckdb

from jobs.warehouse.migrations.added_columns import add_column


def upgrade(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the column ``arm`` to ``ml.recommendations`` and ``ml.placement_lists``."""
    for table in ("ml.recommendations", "ml.placement_lists"):
        add_column(connection, table, "arm", "varchar default 'model'")
