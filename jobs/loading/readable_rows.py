"""The readable rows of a source's files: those that DuckDB refuses are left out, once it has refused any."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import duckdb

from jobs.errors import NextmartError, redact
from jobs.loading.preset_sources import open_source
from jobs.loading.relations import FileRelation, first_paragraph
from jobs.loading.sources import SourceFiles
from jobs.warehouse.connection import Connection

Result = TypeVar("Result")


def with_readable_rows(
    connection: Connection, source: SourceFiles, use: Callable[[SourceFiles, FileRelation], Result]
) -> Result:
    """Open a source's files, and return what ``use`` makes of them.

    If DuckDB refuses a row, ``use`` is called again with the relation of all rows but the unreadable ones. So no
    transaction may be open.

    Parameters
    ----------
    use : function
        Its arguments are the source, which says all that its preset says, and the relation of its files, which can be
        read until ``use`` returns.

    Raises
    ------
    UsageError
        If the files' format, encoding or header is not known, or the preset does not fit.
    NextmartError
        If the files can't be read, or too many of a file's rows are unreadable.
    """
    with TemporaryDirectory(prefix="nextmart-") as folder:
        opened, files = open_source(connection, source, Path(folder))
        with reading_errors(source, files):
            try:
                return use(opened, files)
            except duckdb.InvalidInputException:
                if files.is_checked:
                    raise
        with TemporaryDirectory(prefix="nextmart-") as checked_folder:
            opened, files = open_source(connection, source, Path(checked_folder), check_lines=True)
            with reading_errors(source, files):
                return use(opened, files)


@contextmanager
def reading_errors(source: SourceFiles, files: FileRelation) -> Iterator[None]:
    """Let an error of DuckDB in the ``with`` block say which source can't be read, and which columns it has."""
    try:
        yield
    except duckdb.Error as error:
        raise NextmartError(redact(unreadable_text(source, files, error))) from error


def unreadable_text(source: SourceFiles, files: FileRelation, error: Exception) -> str:
    """Return the message that a source can't be read, with the reason and the names of its columns."""
    columns = ", ".join(files.types)
    return (
        f"can't read {files.name or source.path}: {first_paragraph(error)}\nIts columns: {columns}. Nothing was loaded."
    )
