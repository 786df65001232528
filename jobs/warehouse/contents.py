"""Reads all rows and definitions of a warehouse file, to verify a copy of it."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb

from jobs.errors import NextmartError
from jobs.warehouse.connection import Connection, literal, quoted_name

TABLES = """
    select schema_name, table_name from duckdb_tables()
    where database_name = current_database() and not internal
    order by all
"""

DEFINITIONS = """
    -- Every definition of a database, with its comment: tables with their constraints, views, sequences with the value
    -- that comes next, macros, indexes, types, and the comments of columns
    select 'table' as kind, schema_name || '.' || table_name as name, sql as definition, comment::varchar as comment
    from duckdb_tables() where database_name = current_database() and not internal
    union all
    select 'view', schema_name || '.' || view_name, sql, comment::varchar
    from duckdb_views() where database_name = current_database() and not internal
    union all
    select
        'sequence', schema_name || '.' || sequence_name,
        concat_ws(' ', start_value, min_value, max_value, increment_by, cycle, last_value), comment::varchar
    from duckdb_sequences() where database_name = current_database()
    union all
    select 'macro', schema_name || '.' || function_name, concat_ws(' ', parameters, macro_definition), comment::varchar
    from duckdb_functions() where database_name = current_database() and not internal
    union all
    select 'index', schema_name || '.' || index_name, sql, null
    from duckdb_indexes() where database_name = current_database()
    union all
    select 'type', schema_name || '.' || type_name, logical_type || labels::varchar, null
    from duckdb_types() where database_name = current_database() and not internal
    union all
    select 'column', concat_ws('.', schema_name, table_name, column_name), null, comment::varchar
    from duckdb_columns() where database_name = current_database() and not internal and comment is not null
    order by all
"""

RowsByTable = dict[str, tuple[int, int]]
"""For each table, such as ``raw.events``, the number of its rows and the sum of their hashes."""


@contextmanager
def open_read_only(path: Path, database_name: str) -> Iterator[Connection]:
    """Open a warehouse file read-only, under the database name that its views expect.

    Parameters
    ----------
    path : Path
        The warehouse, or a copy of it with a file name of its own.
    database_name : str
        The name of the database: the stem of the warehouse's file name.

    Raises
    ------
    NextmartError
        If the file can't be opened as a database; the message says why.
    """
    with closing(duckdb.connect()) as connection:
        connection.execute("set TimeZone = 'UTC'")
        try:
            connection.execute(f"attach {literal(str(path))} as {quoted_name(database_name)} (read_only)")
        except duckdb.Error as error:
            raise NextmartError(f"{path} can't be opened: {error}") from error
        connection.execute(f"use {quoted_name(database_name)}")
        yield connection


def read_row_counts_and_hashes(connection: Connection) -> RowsByTable:
    """Read every row of every table, so that DuckDB checks all blocks of the file.

    Returns
    -------
    ``schema.table`` -> (row count, sum of the hashes of all rows)

    Raises
    ------
    NextmartError
        If a table can't be read, because a block of the file is damaged; the message names the table.
    """
    rows: RowsByTable = {}
    for schema, table in connection.execute(TABLES).fetchall():
        relation = f"{quoted_name(schema)}.{quoted_name(table)}"
        query = f"select count(*), coalesce(sum(hash(row_)::hugeint), 0) from {relation} as row_"  # noqa: S608
        try:
            count, hash_sum = connection.execute(query).fetchone() or (0, 0)
        except duckdb.Error as error:
            raise NextmartError(f"the table {schema}.{table} can't be read: {error}") from error
        rows[f"{schema}.{table}"] = (count, hash_sum)
    return rows


def read_definitions(connection: Connection) -> list[tuple[str, str, str, str | None]]:
    """Return the kind, name, SQL text and comment of every table, view and other definition of a database.

    The words of each definition's text are sorted, because DuckDB writes the columns of ``* replace (...)`` in any
    order.
    """
    return [
        (kind, name, " ".join(sorted(re.findall(r"\w+|\S", definition or ""))), comment)
        for kind, name, definition, comment in connection.execute(DEFINITIONS).fetchall()
    ]
