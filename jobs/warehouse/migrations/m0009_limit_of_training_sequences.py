"""Lets ``ml.models`` say to how many sequences the training of a model was limited.

Models from before this migration have learnt from all training sequences: their limit is null.
"""

import duckdb

from jobs.warehouse.migrations.added_columns import add_column


def upgrade(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the column ``training_sequences`` to ``ml.models``."""
    add_column(connection, "ml.models", "training_sequences", "bigint")
