"""Finds the warehouse's own tables; its views, and the tables of attached databases, don't count."""

import duckdb


def is_warehouse_table(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> bool:
    """Return whether the warehouse has a table of this name; views and tables of attached databases don't count."""
    return table in warehouse_tables(connection, schema)


def warehouse_tables(connection: duckdb.DuckDBPyConnection, schema: str) -> set[str]:
    """Return the names of the warehouse's tables in a schema, without views and tables of attached databases."""
    rows = connection.execute(
        "select table_name from duckdb_tables() where database_name = current_database() and schema_name = ?", [schema]
    ).fetchall()
    return {name for (name,) in rows}
