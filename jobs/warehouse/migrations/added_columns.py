"""Adds a column to a table of an older warehouse, for migrations."""

import duckdb

from jobs.warehouse.warehouse_tables import is_warehouse_table


def add_column(connection: duckdb.DuckDBPyConnection, table: str, column: str, column_type: str) -> bool:
    """Add a column to a table if the warehouse has the table; return whether the warehouse has it.

    A user's view that stands in for a table stays as it is.

    Parameters
    ----------
    table : str
        The table with its schema, such as ``raw.items``.
    column_type : str
        The type, and the default that old rows get; without a default they get null.
    """
    schema, _, name = table.partition(".")
    if not is_warehouse_table(connection, schema, name):
        return False
    connection.execute(f"alter table {table} add column if not exists {column} {column_type}")
    return True
