"""Classes for a file that DuckDB can open, and for the SQL that reads a source's files; all file formats use them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import duckdb

from jobs.errors import NextmartError
from jobs.warehouse.connection import Connection, literal

DUCKDB_COMPRESSION: Final = {"": "none", ".gz": "gzip", ".zst": "zstd"}
"""Compression by file name ending -> DuckDB's name of it, for compressions that DuckDB reads itself."""


@dataclass(frozen=True)
class ReadableFile:
    """A file that DuckDB can open: the user's own file, or an unpacked copy of it in UTF-8.

    Attributes
    ----------
    user_path : str
        The file's path as the user gave it.
    path : str
        The path of the file to read: the user's file or the copy.
    compression : str
        A key of ``DUCKDB_COMPRESSION``.
    """

    user_path: str
    path: str
    compression: str = ""


@dataclass(frozen=True)
class FileRelation:
    """The SQL that reads a source's files, or its table in an attached database, and facts about its rows.

    Attributes
    ----------
    sql : str
        A table function of DuckDB, or a query in parentheses, that reads the files.
    column_types : column's name as the files spell it -> DuckDB type
    unreadable_rows_path : str, optional
        The path of a file of JSON lines that holds the unreadable rows, which ``sql`` leaves out; None if the files
        were not checked line by line.
    unreadable_row_count : int
        The number of unreadable rows.
    unreadable_row_examples : tuple of str
        The first unreadable rows, each with file, line and reason.
    has_only_readable_rows : bool
        Whether all rows that ``sql`` reads are readable for certain. They are if ``sql`` reads a table, or copies of
        the files that were checked line by line.
    attached_table_name : str
        The name, for error messages, of the table and of the attached database that holds it; an empty text for files.
    is_parquet : bool
        Whether the files are Parquet files. DuckDB reads a few columns faster from these than from its own tables.
    """

    sql: str
    column_types: dict[str, str]
    unreadable_rows_path: str | None = None
    unreadable_row_count: int = 0
    unreadable_row_examples: tuple[str, ...] = ()
    has_only_readable_rows: bool = False
    attached_table_name: str = ""
    is_parquet: bool = False


def path_list_sql(files: Iterable[ReadableFile]) -> str:
    """Return the paths of files as an SQL list."""
    return f"[{', '.join(literal(file.path) for file in files)}]"


def column_types(connection: Connection, name_in_messages: str, sql: str) -> dict[str, str]:
    """Return the DuckDB type of each column of a relation: column name -> type.

    Parameters
    ----------
    name_in_messages : str
        The name of the files in error messages.

    Raises
    ------
    NextmartError
        If DuckDB can't read the files.
    """
    try:
        described = connection.execute(f"describe select * from {sql}").fetchall()
    except duckdb.Error as error:
        raise NextmartError(f"can't read {name_in_messages}: {first_paragraph(error)}\nNothing was loaded.") from error
    return {row[0]: row[1] for row in described}


def first_paragraph(duckdb_error: Exception) -> str:
    """Return the first paragraph of an error message of DuckDB: the reason, without the advice about SQL after it."""
    return str(duckdb_error).strip().split("\n\n")[0]
