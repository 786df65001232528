"""JSON files as a relation: JSON lines, or one array of objects; texts stay as they are spelt."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from jobs.errors import NextmartError, UsageError
from jobs.loading.attributes import possible_attributes
from jobs.loading.checked_copies import UnreadableRows, copy_json_lines
from jobs.loading.relations import FileRelation, ReadableFile, first_paragraph, path_list
from jobs.loading.sources import SourceFiles
from jobs.loading.text_heads import HEAD_BYTES, likely_encoding
from jobs.loading.unpacking import open_bytes
from jobs.warehouse.connection import Connection, literal


def json_relation(
    connection: Connection, source: SourceFiles, files: Sequence[ReadableFile], folder: Path, *, check: bool
) -> FileRelation:
    """Return the relation of JSON files.

    Parameters
    ----------
    folder : Path
        Receives the copies, if the files have to be read line by line.
    check : bool
        Whether to read JSON lines line by line, and to leave out the rows that can't be read.

    Raises
    ------
    NextmartError
        If the files can't be read, or have too many unreadable rows.
    UsageError
        If a file is in UTF-16.
    """
    beginnings = [_beginning(file) for file in files]
    are_lines = all(_is_json_lines(beginning) for beginning in beginnings)
    if check and are_lines:
        return _checked_relation(connection, source, files, folder)
    try:
        relation = _relation(connection, source, files, are_lines=are_lines)
    except duckdb.Error as error:
        if are_lines and isinstance(error, duckdb.InvalidInputException):
            return _checked_relation(connection, source, files, folder)
        raise NextmartError(f"can't read {source.path}: {first_paragraph(error)}\nNothing was loaded.") from error
    if are_lines and list(relation.types) == ["json"]:  # DuckDB's name for lines that are no objects
        return _checked_relation(connection, source, files, folder)
    return relation


def _beginning(file: ReadableFile) -> bytes:
    """Return the first bytes of a file.

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
            f"{file.origin} is not utf-8; it looks like {encoding}. Say so: --encoding {encoding}. Nothing was loaded."
        )
    return beginning


def _is_json_lines(beginning: bytes) -> bool:
    """Tell whether a file's first line is a whole value of JSON, or a broken object that no second line completes."""
    first_line = beginning.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")[0].strip()
    if first_line.startswith(b"["):
        return False
    try:
        json.loads(first_line)
    except ValueError:
        return len(first_line) > 1 and (len(first_line) >= HEAD_BYTES or first_line.endswith(b"}"))
    return True


def _relation(
    connection: Connection, source: SourceFiles, files: Sequence[ReadableFile], *, are_lines: bool
) -> FileRelation:
    """Return the relation of files that DuckDB reads as they are."""
    # all rows are sampled, so that no column is lost that only late rows have
    reader = (
        f"read_json({path_list(files)}, format = '{'newline_delimited' if are_lines else 'auto'}', "
        f"union_by_name = true, sample_size = -1)"
    )
    described = connection.execute(f"describe select * from {reader}").fetchall()
    # an attribute keeps its JSON type and its spelling
    json_columns = {*source.json_columns, *possible_attributes(source, [row[0] for row in described])}
    types = {row[0]: "JSON" if row[0] in json_columns else row[1] for row in described}
    # without types, DuckDB guesses for each file which texts are dates, UUIDs or decimals, and respells them
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


def _checked_relation(
    connection: Connection, source: SourceFiles, files: Sequence[ReadableFile], folder: Path
) -> FileRelation:
    """Return the relation of copies of files that hold the readable lines alone."""
    unreadable_path = folder / "unreadable.jsonl"
    copies, examples, unreadable_count = [], [], 0
    with unreadable_path.open("w", encoding="utf-8") as output:
        for number, file in enumerate(files):
            rows = UnreadableRows(file.origin, output)
            copy = folder / f"checked_{number}.jsonl"
            with open_bytes(file.path, file.compression) as stream, copy.open("wb") as target:
                copy_json_lines(stream, target, rows)
            rows.require_few(source.options.max_unreadable_share, "")
            copies.append(ReadableFile(file.origin, str(copy)))
            examples += rows.examples
            unreadable_count += rows.unreadable
    try:
        relation = _relation(connection, source, copies, are_lines=True)
    except duckdb.Error as error:
        raise NextmartError(f"can't read {source.path}: {first_paragraph(error)}\nNothing was loaded.") from error
    return replace(
        relation,
        unreadable_path=str(unreadable_path),
        unreadable_count=unreadable_count,
        examples=tuple(examples),
        is_checked=True,
    )
