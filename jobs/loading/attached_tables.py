"""Finds out which sources of a load are tables of attached databases, and makes the SQL that reads such a table."""

import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

import duckdb

from jobs.errors import NextmartError, UsageError, redact
from jobs.loading.file_listing import FORMAT_OF_ENDING
from jobs.loading.postgres_tables import postgres_relation
from jobs.loading.relations import FileRelation, first_paragraph
from jobs.loading.sources import LoadSource
from jobs.warehouse.attached_databases import attached_database_names
from jobs.warehouse.connection import Connection, literal, quoted_name

_NAME_PART: Final = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_TABLE_NAME: Final = re.compile(rf"\s*{_NAME_PART}\s*(?:\.\s*{_NAME_PART}\s*){{1,2}}")
TABLES_SHOWN: Final = 20
"""The largest number of a database's tables that an error message lists."""

SELECT_TABLES_OF_DATABASE = """
    select schema_name, table_name
    from (
        select database_name, schema_name, table_name from duckdb_tables()
        union
        select database_name, schema_name, view_name from duckdb_views()
    )
    where lower(database_name) = $database and schema_name not in ('information_schema', 'pg_catalog')
        and not starts_with(table_name, 'sqlite_')
    order by all
"""


def table_name_parts(text: str) -> tuple[str, ...] | None:
    """Return the parts of ``database.table`` or ``database.schema.table``; None if the text is no such name.

    A part may stand in double quotes, as in SQL.
    """
    if not _TABLE_NAME.fullmatch(text):
        return None
    parts = re.findall(_NAME_PART, text)
    return tuple(part[1:-1].replace('""', '"') if part.startswith('"') else part for part in parts)


def source_databases(configured_database_names: Collection[str], source_paths: Iterable[str]) -> set[str]:
    """Return the names of the attached databases that sources read.

    Parameters
    ----------
    configured_database_names : collection of str
        The names of all databases of ``[attach]`` in ``nextmart.toml``.
    source_paths : iterable of str
        What users write for their sources: paths of files, or names of tables of attached databases.

    Raises
    ------
    UsageError
        If a path can mean both a file and a table, or looks like a table of a database that is not in ``[attach]``.
    """
    read_databases = set()
    by_lower_name = {name.lower(): name for name in configured_database_names}
    for path in source_paths:
        parts = table_name_parts(path)
        if parts is None:
            continue
        database = by_lower_name.get(parts[0].lower())
        is_file = Path(path).exists()
        if database and is_file and '"' not in path:
            raise UsageError(
                f"{path} is a file here, and a table of [attach.{database}]. Say which: ./{path} is the file, "
                f"'\"{parts[0]}\"{path[len(parts[0]) :]}' with double quotes the table."
            )
        if database:
            read_databases.add(database)
        elif not is_file and _can_only_be_a_table(path, parts):
            close = difflib.get_close_matches(parts[0].lower(), by_lower_name, n=1)
            hint = (
                f"did you mean '{by_lower_name[close[0]]}'?"
                if close
                else f"attached: {', '.join(configured_database_names) or 'none'}"
            )
            raise UsageError(
                f"{path}: there is no such file, and no database [attach.{parts[0]}] in nextmart.toml; {hint}"
            )
    return read_databases


def _can_only_be_a_table(path: str, name_parts: tuple[str, ...]) -> bool:
    return '"' in path or (
        len(name_parts) == 3 and f".{name_parts[-1].lower()}" not in {*FORMAT_OF_ENDING, ".gz", ".zip"}
    )


def attached_table_parts(connection: Connection, path: str) -> tuple[str, ...] | None:
    """Return the parts of a table's name if ``path`` names a table of an attached database, else None."""
    parts = table_name_parts(path)
    return parts if parts and parts[0].lower() in attached_database_names(connection) else None


def table_relation(connection: Connection, source: LoadSource, name_parts: tuple[str, ...]) -> FileRelation:
    """Return the SQL that reads a table of an attached database, and the DuckDB type of each of its columns.

    All columns of a SQLite table are read as text, because a column of SQLite can hold values of any type.

    Raises
    ------
    NextmartError
        If there is no such table, or the database doesn't answer; the message names the most similar table.
    """
    name = f"{source.path} of [attach.{name_parts[0]}]"
    full_name = ".".join(map(quoted_name, name_parts))
    try:
        described = connection.execute(f"describe select * from {full_name}").fetchall()
        types = {column: type_name for column, type_name, *_ in described}
        kind = _database_kind(connection, name_parts[0])
        if kind == "sqlite":
            return FileRelation(
                _sqlite_texts_sql(name_parts, types),
                dict.fromkeys(types, "VARCHAR"),
                attached_table_name=name,
                has_only_readable_rows=True,
            )
        if kind == "postgres":
            return replace(postgres_relation(connection, source, name_parts, types), attached_table_name=name)
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise NextmartError(_missing_table_message(connection, source.path, name_parts)) from error
    except duckdb.Error as error:
        raise NextmartError(redact(f"can't read {name}: {first_paragraph(error)}\nNothing was loaded.")) from error
    return FileRelation(full_name, types, attached_table_name=name, has_only_readable_rows=True)


def _database_kind(connection: Connection, database_name: str) -> str:
    row = connection.execute(
        "select type from duckdb_databases() where lower(database_name) = ?", [database_name.lower()]
    ).fetchone()
    return str(row[0]) if row else ""


def _sqlite_texts_sql(name_parts: tuple[str, ...], column_types: dict[str, str]) -> str:
    """Return the SQL that lets SQLite itself cast all columns of a table to text."""
    texts = ", ".join(f"cast({quoted_name(column)} as text) as {quoted_name(column)}" for column in column_types)
    query = f"select {texts} from {quoted_name(name_parts[-1])}"
    return f"sqlite_query({literal(name_parts[0])}, {literal(query)})"


def _missing_table_message(connection: Connection, path: str, name_parts: tuple[str, ...]) -> str:
    """Return the error message that an attached database has no such table; the message lists its tables."""
    rows = connection.execute(SELECT_TABLES_OF_DATABASE, {"database": name_parts[0].lower()}).fetchall()
    tables = {f"{schema}.{table}": table for schema, table in rows}
    wanted = ".".join(name_parts[1:])
    close = difflib.get_close_matches(wanted, tables, n=1) or [
        full_name for full_name, table in tables.items() if difflib.get_close_matches(name_parts[-1], [table], n=1)
    ]
    said = f"[attach.{name_parts[0]}] has no table '{wanted}' ({path})"
    if close:
        return f"{said}; did you mean '{name_parts[0]}.{close[0]}'? Nothing was loaded."
    listed = [*list(tables)[:TABLES_SHOWN], *(["…"] if len(tables) > TABLES_SHOWN else [])]
    return f"{said}; it has: {', '.join(listed) or 'no tables that this user may read'}. Nothing was loaded."
