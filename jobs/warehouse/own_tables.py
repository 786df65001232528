"""Tells the warehouse's own tables from its views and from tables of attached databases."""

import duckdb


def is_own_table(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> bool:
    """Return whether the warehouse has a table of a name; views and tables of attached databases don't count."""
    found = connection.execute(
        "select true from duckdb_tables() "
        "where database_name = current_database() and schema_name = ? and table_name = ?",
        [schema, table],
    ).fetchone()
    return found is not None
