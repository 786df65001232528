"""Makes the SQL that reads a source's files of any format, or its table in an attached database."""

from pathlib import Path
from typing import Final

from jobs.loading.attached_tables import attached_table_parts, table_relation
from jobs.loading.file_listing import JSON, JSON_LINES, PARQUET, XLSX, InputFile, find_source_files
from jobs.loading.json_files import json_relation
from jobs.loading.relations import DUCKDB_COMPRESSION, FileRelation, ReadableFile, column_types, path_list_sql
from jobs.loading.sources import LoadSource, NoRowsError
from jobs.loading.text_files import text_relation
from jobs.loading.unpacking import transcode_to_utf_8, unpack, workbook_to_csv
from jobs.warehouse.connection import Connection

_NAMES_OF_UTF_8: Final = ("utf-8", "utf8", "utf-8-sig")


def file_relation(
    connection: Connection, source: LoadSource, copies_folder: Path, *, check_lines: bool = False
) -> FileRelation:
    """Return the SQL that reads a source's files, or its table in an attached database, and its column types.

    Parameters
    ----------
    copies_folder : Path
        An empty folder for copies of files that DuckDB can't read as they are; it must exist while the relation is
        used.
    check_lines : bool
        Whether to check each line of text files, and to leave out the rows that can't be read. This is slow, and needed
        only after DuckDB has refused the files.

    Raises
    ------
    UsageError
        If the files' format, encoding or header is not known.
    NextmartError
        If the files are empty, can't be read, or have too many unreadable rows.
    """
    table = attached_table_parts(connection, source.path)
    if table:
        return table_relation(connection, source, table)
    source_files = find_source_files(connection, source)
    if all(Path(file.path).is_file() and Path(file.path).stat().st_size == 0 for file in source_files):
        raise NoRowsError(f"{source.path} is empty; nothing was loaded")
    files = [_as_readable_file(file, number, source, copies_folder) for number, file in enumerate(source_files)]
    file_format = source_files[0].file_format
    if file_format == PARQUET:
        sql = f"read_parquet({path_list_sql(files)}, union_by_name = true)"
        return FileRelation(sql, column_types(connection, source.path, sql), is_parquet=True)
    if file_format in (JSON, JSON_LINES):
        return json_relation(connection, source, files, copies_folder, check_lines=check_lines)
    return text_relation(source, files, copies_folder, check_lines=check_lines)


def _as_readable_file(file: InputFile, file_number: int, source: LoadSource, copies_folder: Path) -> ReadableFile:
    """Return the file itself if DuckDB can read it; else write a readable copy to ``copies_folder`` and return that."""
    copy = copies_folder / f"copy_{file_number}.txt"
    encoding = source.read_options.encoding
    if file.file_format == XLSX:
        workbook_to_csv(file, copy)
    elif file.file_format == PARQUET:
        return ReadableFile(file.path, file.path)
    elif encoding and encoding.lower().replace("_", "-") not in _NAMES_OF_UTF_8:
        transcode_to_utf_8(file, encoding, copy)
    elif file.compression not in DUCKDB_COMPRESSION or not file.path.endswith(file.compression):
        unpack(file, copy)
    else:
        return ReadableFile(file.path, file.path, file.compression)
    return ReadableFile(file.path, str(copy))
