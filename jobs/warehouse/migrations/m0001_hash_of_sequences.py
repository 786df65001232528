"""Gives each row of ``ml.recommendations`` the hash of the sequence of events from which it was made.

Older rows don't say from which sequence they were made. They get the hash 0, so that every visitor gets a new list the
next night.
"""

import duckdb

from jobs.warehouse.migrations.added_columns import add_column


def upgrade(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the column ``sequence_hash`` to ``ml.recommendations``."""
    # the default fills old rows as the column is added: DuckDB can't set a column to not null after an update
    if add_column(connection, "ml.recommendations", "sequence_hash", "ubigint default 0"):
        connection.execute("alter table ml.recommendations alter column sequence_hash drop default")
        connection.execute("alter table ml.recommendations alter column sequence_hash set not null")
