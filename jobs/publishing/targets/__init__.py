"""Copies of the published tables outside the published file: Parquet files, a DuckDB file, PostgreSQL, a DuckLake."""
