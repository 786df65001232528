"""Reads a source's files with DuckDB. If DuckDB refuses a row, the files are read once more without unreadable rows."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import duckdb

from jobs.errors import NextmartError, redact
from jobs.loading.preset_sources import source_with_preset_and_relation
from jobs.loading.relations import FileRelation, first_paragraph
from jobs.loading.sources import LoadSource
from jobs.warehouse.connection import Connection

Result = TypeVar("Result")


def read_readable_rows(
    connection: Connection,
    source: LoadSource,
    read_relation: Callable[[LoadSource, FileRelation], Result],
    copies_stack: ExitStack | None = None,
) -> Result:
    """Open a source's files, call ``read_relation`` with their relation, and return the result of ``read_relation``.

    If DuckDB refuses a row, ``read_relation`` is called once more, with the relation of the readable rows. No
    transaction may be open, because DuckDB's error would end it.

    Parameters
    ----------
    read_relation : function
        Its arguments are the source, with its preset's map and options, and the relation of its files. The relation
        can be read until ``read_relation`` returns.
    copies_stack : ExitStack, optional
        If given, the relation can be read until this stack is closed.

    Raises
    ------
    UsageError
        If the files' format, encoding or header is not known, or the preset does not fit.
    NextmartError
        If the files can't be read, or too many of a file's rows are unreadable.
    """
    try:
        return _read_rows(connection, source, read_relation, copies_stack, check_lines=False)
    except _RowRefusedError:
        return _read_rows(connection, source, read_relation, copies_stack, check_lines=True)


class _RowRefusedError(Exception):
    """DuckDB refused a row of files whose lines were not checked; a second try can check them and leave the row out."""


def _read_rows(
    connection: Connection,
    source: LoadSource,
    read_relation: Callable[[LoadSource, FileRelation], Result],
    copies_stack: ExitStack | None,
    *,
    check_lines: bool,
) -> Result:
    """Read a source's files once, as ``read_readable_rows`` does.

    With ``check_lines``, each line is checked before DuckDB reads the files, and unreadable rows are left out.
    """
    with ExitStack() as folders:
        folder = folders.enter_context(TemporaryDirectory(prefix="nextmart-"))
        preset_source, file_relation = source_with_preset_and_relation(
            connection, source, Path(folder), check_lines=check_lines
        )
        with name_source_in_errors(source, file_relation):
            try:
                result = read_relation(preset_source, file_relation)
            except duckdb.InvalidInputException as error:
                if file_relation.has_only_readable_rows or check_lines:
                    raise
                raise _RowRefusedError from error
        if copies_stack is not None:
            copies_stack.enter_context(folders.pop_all())
        return result


@contextmanager
def name_source_in_errors(source: LoadSource, file_relation: FileRelation) -> Iterator[None]:
    """Turn DuckDB's errors in a ``with`` block into errors that name the source and its columns."""
    try:
        yield
    except duckdb.Error as error:
        raise NextmartError(redact(unreadable_source_message(source, file_relation, error))) from error


def unreadable_source_message(source: LoadSource, file_relation: FileRelation, error: Exception) -> str:
    """Return the error message for a source that can't be read, with DuckDB's reason and the source's columns."""
    columns = ", ".join(file_relation.column_types)
    name = file_relation.attached_table_name or source.path
    return f"can't read {name}: {first_paragraph(error)}\nIts columns: {columns}. Nothing was loaded."
