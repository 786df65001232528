"""Makes the SQL that reads a PostgreSQL table; values that DuckDB would change silently are read as text."""

import re
from typing import Final

from jobs.loading.attributes import may_be_attribute
from jobs.loading.mapping import TABLE_COLUMNS
from jobs.loading.relations import FileRelation
from jobs.loading.sources import LoadSource
from jobs.warehouse.connection import Connection, literal, quoted_name

FIND_TABLE: Final = """
    select schema_name, table_name from duckdb_tables()
    where lower(database_name) = lower($database) and lower(schema_name) = lower($schema)
        and lower(table_name) = lower($table)
    order by schema_name = $schema and table_name = $table desc
    limit 1
"""

SELECT_COLUMN_TYPES: Final = """
    select attribute.attname, type.typname
    from pg_catalog.pg_attribute as attribute
    join pg_catalog.pg_type as type on type.oid = attribute.atttypid
    where attribute.attrelid = {table}::regclass and attribute.attnum > 0 and not attribute.attisdropped
"""


def postgres_relation(
    connection: Connection, source: LoadSource, name_parts: tuple[str, ...], column_types: dict[str, str]
) -> FileRelation:
    """Return the SQL that reads a table of an attached PostgreSQL database, and the type of each of its columns.

    DuckDB reads a ``numeric`` without a precision as a double, which loses digits, and the number NaN as 0. A column in
    which this can happen is read as text, if the load needs the column. Columns of JSON get the type JSON.

    Parameters
    ----------
    name_parts : tuple of str
        The parts of the table's name: database, schema and table; the schema may be absent.
    column_types : column -> DuckDB type
        The types that DuckDB gives the table's columns.
    """
    database = literal(name_parts[0])
    schema, name = name_parts[1] if len(name_parts) == 3 else "public", name_parts[-1]
    found = connection.execute(FIND_TABLE, {"database": name_parts[0], "schema": schema, "table": name}).fetchone()
    # the schema's and the table's names, spelt as in Postgres
    table = ".".join(map(quoted_name, found or (schema, name)))
    query = SELECT_COLUMN_TYPES.format(table=literal(table))
    postgres_types = dict(connection.execute(f"from postgres_query({database}, {literal(query)})").fetchall())
    column_types = column_types | {
        column: "JSON" for column in column_types if postgres_types.get(column) in ("json", "jsonb")
    }
    numeric = [
        column for column in column_types if postgres_types.get(column) == "numeric" and _needs_column(source, column)
    ]
    exact = [column for column in numeric if column_types[column].startswith("DECIMAL")]
    as_text = {*numeric} - {*exact}
    if exact:
        flags = ", ".join(f"coalesce(bool_or({quoted_name(column)} = 'NaN'), false)" for column in exact)
        query = f"select {flags} from {table}"
        [has_nan] = connection.execute(f"from postgres_query({database}, {literal(query)})").fetchall()
        as_text |= {column for column, flag in zip(exact, has_nan, strict=True) if flag}
    if not as_text:
        return FileRelation(".".join(map(quoted_name, name_parts)), column_types, has_only_readable_rows=True)
    columns = ", ".join(f"{quoted_name(column)}{'::text' if column in as_text else ''}" for column in column_types)
    query = f"select {columns} from {table}"
    sql = f"postgres_query({database}, {literal(query)})"
    return FileRelation(sql, column_types | dict.fromkeys(as_text, "VARCHAR"), has_only_readable_rows=True)


def _needs_column(source: LoadSource, column: str) -> bool:
    """Tell whether a load needs a column.

    It does if the column is a raw column or an attribute, or if the source's map or condition names it.
    """
    texts = [*source.column_map.values(), source.where_sql or ""]
    is_mapped = any(re.search(rf"\b{re.escape(column)}\b", text, re.IGNORECASE) for text in texts)
    return column.lower() in TABLE_COLUMNS[source.table] or is_mapped or may_be_attribute(source, column)
