"""What all formats share: files made ready for DuckDB, and files as a relation in SQL."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import duckdb

from jobs.errors import NextmartError
from jobs.warehouse.connection import Connection, literal

DUCKDB_COMPRESSION: Final = {"": "none", ".gz": "gzip", ".zst": "zstd"}
"""DuckDB's names of the compressions that it reads itself."""


@dataclass(frozen=True)
class ReadableFile:
    """A file that DuckDB can open: the user's own, or a copy that is unpacked and in UTF-8.

    Attributes
    ----------
    origin : str
        The path that the user knows the file by.
    path : str
        The path that is read.
    compression : str
        A key of ``DUCKDB_COMPRESSION``.
    """

    origin: str
    path: str
    compression: str = ""


@dataclass(frozen=True)
class FileRelation:
    """The files of a source as a relation in SQL.

    Attributes
    ----------
    sql : str
        A table function of DuckDB, or a query in parentheses, that reads the files.
    types : column's name as the files spell it -> DuckDB type
    unreadable_path : str, optional
        A file with the rows that ``sql`` leaves out because they can't be read, as JSON lines; None if no row was
        left out, or nobody has looked.
    unreadable_count : int
        The number of those rows.
    examples : tuple of str
        The first of those rows, each with file, line and reason.
    is_checked : bool
        Whether a reading line by line can find no unreadable rows: the files were read so, and ``sql`` reads copies
        without such rows, or the rows are those of a table.
    name : str
        What errors call a table of an attached database; empty for files.
    """

    sql: str
    types: dict[str, str]
    unreadable_path: str | None = None
    unreadable_count: int = 0
    examples: tuple[str, ...] = ()
    is_checked: bool = False
    name: str = ""


def path_list(files: Iterable[ReadableFile]) -> str:
    """Return the paths of files as an SQL list."""
    return f"[{', '.join(literal(file.path) for file in files)}]"


def column_types(connection: Connection, name: str, sql: str) -> dict[str, str]:
    """Return the types of a relation's columns, by the column's name as the files spell it.

    Parameters
    ----------
    name : str
        What an error calls the files.

    Raises
    ------
    NextmartError
        If DuckDB can't read the files.
    """
    try:
        described = connection.execute(f"describe select * from {sql}").fetchall()
    except duckdb.Error as error:
        raise NextmartError(f"can't read {name}: {first_paragraph(error)}\nNothing was loaded.") from error
    return {row[0]: row[1] for row in described}


def first_paragraph(error: Exception) -> str:
    """Return the first paragraph of an error message of DuckDB: the reason, without the advice about SQL after it."""
    return str(error).strip().split("\n\n")[0]
