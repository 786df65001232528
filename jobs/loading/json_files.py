"""Makes the SQL that reads JSON files (JSON lines, or one array of objects), in which texts keep their spelling."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import duckdb

from jobs.errors import NextmartError, UsageError
from jobs.loading.attributes import attribute_candidates
from jobs.loading.checked_copies import CheckedRowsWriter, copy_readable_json_lines
from jobs.loading.relations import FileRelation, ReadableFile, first_paragraph, path_list_sql
from jobs.loading.sources import LoadSource, NoRowsError
from jobs.loading.text_dialects import HEAD_BYTES, likely_encoding
from jobs.loading.unpacking import open_bytes
from jobs.warehouse.connection import Connection, literal

_UTF_8_BOM: Final = b"\xef\xbb\xbf"


def json_relation(
    connection: Connection,
    source: LoadSource,
    files: Sequence[ReadableFile],
    copies_folder: Path,
    *,
    check_lines: bool,
) -> FileRelation:
    """Return the SQL that reads JSON files, and the DuckDB type of each of their columns.

    Parameters
    ----------
    copies_folder : Path
        The folder for copies of the files, if each line has to be checked.
    check_lines : bool
        Whether to check each line of JSON lines, and to leave out the rows that can't be read.

    Raises
    ------
    NoRowsError
        If all files are blank or hold an empty array.
    NextmartError
        If the files can't be read, or have too many unreadable rows.
    UsageError
        If a file is in UTF-16.
    """
    beginnings = {file: _read_utf_8_beginning(file) for file in files}
    beginnings = {file: beginning for file, beginning in beginnings.items() if not _has_no_rows(beginning)}
    if not beginnings:
        raise NoRowsError(f"{source.path} is empty; nothing was loaded")
    files = list(beginnings)
    are_json_lines = all(map(_is_json_lines, beginnings.values()))
    if check_lines and are_json_lines:
        return _relation_of_checked_copies(connection, source, files, copies_folder)
    try:
        relation = _unchecked_relation(connection, source, files, are_json_lines=are_json_lines)
    except duckdb.Error as error:
        if are_json_lines and isinstance(error, duckdb.InvalidInputException):
            return _relation_of_checked_copies(connection, source, files, copies_folder)
        raise NextmartError(f"can't read {source.path}: {first_paragraph(error)}\nNothing was loaded.") from error
    if are_json_lines and list(relation.column_types) == ["json"]:
        # DuckDB reads lines that are no JSON objects as one column with the name "json"
        return _relation_of_checked_copies(connection, source, files, copies_folder)
    return relation


def _read_utf_8_beginning(file: ReadableFile) -> bytes:
    """Return the first ``HEAD_BYTES`` bytes of a file, and refuse UTF-16.

    Raises
    ------
    UsageError
        If the file is in UTF-16.
    """
    with open_bytes(file.path, file.compression) as stream:
        beginning = stream.read(HEAD_BYTES)
    encoding = likely_encoding(beginning)
    if encoding and encoding.startswith("utf-16"):
        raise UsageError(
            f"{file.user_path} is not utf-8; it looks like {encoding}. Say so: --encoding {encoding}. Nothing was "
            "loaded."
        )
    return beginning


def _has_no_rows(beginning: bytes) -> bool:
    """Tell whether a file is blank or holds an empty array, as an export of a day without rows does."""
    return len(beginning) < HEAD_BYTES and b"".join(beginning.removeprefix(_UTF_8_BOM).split()) in (b"", b"[]")


def _is_json_lines(beginning: bytes) -> bool:
    """Tell whether a file has JSON lines: its first line alone is a JSON value, or looks like a broken JSON object."""
    first_line = beginning.removeprefix(_UTF_8_BOM).lstrip().partition(b"\n")[0].strip()
    if first_line.startswith(b"["):
        return False
    try:
        json.loads(first_line)
    except ValueError:
        return len(first_line) > 1 and (len(first_line) >= HEAD_BYTES or first_line.endswith(b"}"))
    return True


def _unchecked_relation(
    connection: Connection, source: LoadSource, files: Sequence[ReadableFile], *, are_json_lines: bool
) -> FileRelation:
    """Return the SQL that reads JSON files, and the column types, without a check of each line."""
    # all rows are sampled, so that a column that only the last rows have is not lost
    reader = (
        f"read_json({path_list_sql(files)}, format = '{'newline_delimited' if are_json_lines else 'auto'}', "
        f"union_by_name = true, sample_size = -1)"
    )
    described = connection.execute(f"describe select * from {reader}").fetchall()
    # a column that may become an attribute is read as JSON, so that its values keep their type and spelling
    json_columns = {*source.json_columns, *attribute_candidates(source, [row[0] for row in described])}
    types = {row[0]: "JSON" if row[0] in json_columns else row[1] for row in described}
    # types are given, because DuckDB would guess which texts are dates, UUIDs or decimals, and respell them
    read_types = {
        name: type_name if _is_nested(type_name) or name in json_columns else "VARCHAR"
        for name, type_name in types.items()
    }
    columns = ", ".join(f"{literal(name)}: {literal(type_name)}" for name, type_name in read_types.items())
    sql = reader.replace("sample_size = -1", f"columns = {{{columns}}}", 1)
    return FileRelation(sql, types)


def _is_nested(type_name: str) -> bool:
    """Tell whether a DuckDB type is a struct, a map or a list."""
    return type_name.endswith((")", "]"))


def _relation_of_checked_copies(
    connection: Connection, source: LoadSource, files: Sequence[ReadableFile], copies_folder: Path
) -> FileRelation:
    """Copy the readable lines of JSON files, and return the SQL that reads the copies, with the column types."""
    unreadable_rows_path = copies_folder / "unreadable.jsonl"
    copies, examples, unreadable_count = [], [], 0
    with unreadable_rows_path.open("w", encoding="utf-8") as output:
        for number, file in enumerate(files):
            rows = CheckedRowsWriter(file.user_path, output)
            copy = copies_folder / f"checked_{number}.jsonl"
            with open_bytes(file.path, file.compression) as stream, copy.open("wb") as target:
                copy_readable_json_lines(stream, target, rows)
            rows.require_few_unreadable(source.read_options.max_unreadable_share, "")
            copies.append(ReadableFile(file.user_path, str(copy)))
            examples += rows.unreadable_examples
            unreadable_count += rows.unreadable_count
    try:
        relation = _unchecked_relation(connection, source, copies, are_json_lines=True)
    except duckdb.Error as error:
        raise NextmartError(f"can't read {source.path}: {first_paragraph(error)}\nNothing was loaded.") from error
    return replace(
        relation,
        unreadable_rows_path=str(unreadable_rows_path),
        unreadable_row_count=unreadable_count,
        unreadable_row_examples=tuple(examples),
        has_only_readable_rows=True,
    )
