"""Writers of copies of the published tables: as Parquet files, a DuckDB file, a PostgreSQL schema or a DuckLake.

May import what ``publishing`` may import, and the module ``jobs.publishing.published_file``.
"""
