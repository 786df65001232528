"""Lets ``ml.model_ranks`` say which validation cases were new, so that each counts once when models are compared.

For models that were measured before, it is not known which cases were new.
"""

import duckdb

from jobs.warehouse.migrations.added_columns import add_column


def upgrade(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the columns ``new_cases`` and ``newest_target_at`` to ``ml.model_ranks``."""
    add_column(connection, "ml.model_ranks", "new_cases", "boolean[]")
    add_column(connection, "ml.model_ranks", "newest_target_at", "timestamptz")
