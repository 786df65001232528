"""Makes the SQL that reads delimited text files; the first lines of a file show its delimiter and header."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from jobs.errors import UsageError
from jobs.loading.checked_copies import CheckedRowsWriter, copy_readable_text
from jobs.loading.mapping import TABLE_COLUMNS
from jobs.loading.relations import DUCKDB_COMPRESSION, FileRelation, ReadableFile, path_list_sql
from jobs.loading.sources import LoadSource, NoRowsError
from jobs.loading.text_dialects import (
    TextDialect,
    count_lines_before_table,
    dialect_of_text,
    has_no_header,
    is_access_log_line,
    likely_encoding,
    lines_after_header,
    words_of_sql_expressions,
)
from jobs.loading.unpacking import open_bytes, read_first_bytes
from jobs.warehouse.connection import literal

DUCKDB_LINE_SIZE = 2_000_000
"""The longest line that DuckDB reads unless it is told of longer ones, in bytes."""
_SHOWN_LINE_CHARACTERS = 300


def text_relation(
    source: LoadSource, files: Sequence[ReadableFile], copies_folder: Path, *, check_lines: bool
) -> FileRelation:
    """Return the SQL that reads delimited text files, and the DuckDB type of each of their columns.

    Parameters
    ----------
    files : sequence of ReadableFile
        The files, in UTF-8.
    copies_folder : Path
        The folder for copies of the files, if ``check_lines`` is true.
    check_lines : bool
        Whether to read the files line by line, and to leave out the rows that can't be read.

    Raises
    ------
    NextmartError
        If a file can't be read or has too many unreadable rows, or all files are empty.
    UsageError
        If a file is not in UTF-8, or has no header.
    """
    heads = [(file, dialect) for file in files if (dialect := _dialect_of_file(source, file))]
    if not heads:
        raise NoRowsError(f"{source.path} is empty; nothing was loaded")
    types = {name: "VARCHAR" for _, dialect in heads for name in dialect.column_names}
    by_lower_name = {name.lower(): name for name in reversed(types)}
    types = {name: "VARCHAR" for name in types if by_lower_name[name.lower()] == name}
    if not check_lines and all(dialect.has_uniform_newlines for _, dialect in heads):
        groups: dict[tuple[TextDialect, str], list[ReadableFile]] = defaultdict(list)
        for file, dialect in heads:
            groups[_comparable_dialect(dialect), file.compression].append(file)
        return FileRelation(_union_sql(_read_csv_sql(group, dialect) for (dialect, _), group in groups.items()), types)
    unreadable_rows_path = copies_folder / "unreadable.jsonl"
    tables, examples, unreadable_count = [], [], 0
    with unreadable_rows_path.open("w", encoding="utf-8") as output:
        for number, (file, dialect) in enumerate(heads):
            rows = CheckedRowsWriter(file.user_path, output)
            copy = copies_folder / f"checked_{number}.csv"
            with open_bytes(file.path, file.compression) as stream, copy.open("wb") as target:
                copy_readable_text(stream, target, dialect, rows)
            rows.require_few_unreadable(
                source.read_options.max_unreadable_share, dialect.first_line if dialect.header_line_count else ""
            )
            copied = TextDialect(dialect.delimiter, b"\n", 0, 0, dialect.column_names, "")
            tables.append(_read_csv_sql([ReadableFile(file.user_path, str(copy))], copied, rows.row_bytes_upper_bound))
            examples += rows.unreadable_examples
            unreadable_count += rows.unreadable_count
    return FileRelation(
        _union_sql(tables),
        types,
        str(unreadable_rows_path),
        unreadable_count,
        tuple(examples),
        has_only_readable_rows=True,
    )


def _dialect_of_file(source: LoadSource, file: ReadableFile) -> TextDialect | None:
    """Return a file's dialect (delimiter, line end, header), or None if the file is empty.

    Raises
    ------
    UsageError
        If the file is not in UTF-8, or has no header and none is named.
    """
    beginning = read_first_bytes(file.path, file.compression)
    options = source.read_options
    dialect = dialect_of_text(beginning, options.delimiter, options.columns)
    if dialect is None:
        return None
    encoding = likely_encoding(beginning)
    header_is_broken = dialect.header_line_count > 0 and "\ufffd" in dialect.first_line
    if encoding and (header_is_broken or encoding.startswith("utf-16")):
        raise UsageError(
            f"{file.user_path} is not utf-8; it looks like {encoding}. Say so: --encoding {encoding}. Nothing was "
            "loaded."
        )
    before = count_lines_before_table(beginning) if options.columns is None and options.delimiter is None else None
    if before:
        raise UsageError(_lines_before_table_message(file, dialect, *before))
    if options.columns is None:
        known = {name for names in TABLE_COLUMNS.values() for name in names}
        known |= {*words_of_sql_expressions(source.column_map.values())}
        if has_no_header(dialect, lines_after_header(beginning, dialect), known):
            raise UsageError(_no_header_message(source, file, dialect))
    return dialect


def _lines_before_table_message(file: ReadableFile, dialect: TextDialect, line_count: int, delimiter: str) -> str:
    """Return the error message for a file with lines before its header: how to remove these lines."""
    suffix = Path(file.user_path).suffix or ".csv"
    return (
        f"{file.user_path}: its first line is not the header: the line has no delimiter, and line {line_count + 1} and "
        f"those after it have columns, with {delimiter!r} between them.\n"
        f"Its first line: {dialect.first_line[:_SHOWN_LINE_CHARACTERS]}\n"
        f"Remove what stands before the table, and load the rest: tail -n +{line_count + 1} "
        f"{file.user_path} > table{suffix}\n"
        "Nothing was loaded."
    )


def _no_header_message(source: LoadSource, file: ReadableFile, dialect: TextDialect) -> str:
    """Return the error message for a file without a header: it shows the first line and the options to type."""
    width = len(dialect.column_names)
    ours = [name for name in ("visitor_id", "item_id", "event_at") if name in TABLE_COLUMNS[source.table]]
    maps = ""
    if is_access_log_line(dialect.first_line) and source.table == "events":
        ours = ["ip", "ident", "user", "day", "zone", "request", "status", "size", "referrer", "user_agent"]
        maps = (
            " --map visitor_id=ip --map \"item_id=split_part(request, ' ', 2)\" --map \"event_at=day || ' ' || zone\""
            " --time-format '[%d/%b/%Y:%H:%M:%S %z]'"
        )
    example = ",".join([*ours, *(f"column{number}" for number in range(len(ours), width))][:width])
    all_columns = f"all {width} columns in the file's order" if width > 1 else "its one column"
    return (
        f"{file.user_path} has no header: its first line holds values, not the names of columns.\n"
        f"Its first line: {dialect.first_line[:_SHOWN_LINE_CHARACTERS]}\n"
        f"It has: {', '.join(dialect.column_names)[:_SHOWN_LINE_CHARACTERS]}.\n"
        f"Name {all_columns}: --no-header --columns {example}{maps}\n"
        "Nothing was loaded."
    )


def _comparable_dialect(dialect: TextDialect) -> TextDialect:
    """Return a file's dialect in a form that can be compared: DuckDB can read files of equal dialects in one call."""
    return replace(dialect, first_line="", byte_count_before_rows=0)


def _read_csv_sql(files: Sequence[ReadableFile], dialect: TextDialect, row_bytes_upper_bound: int = 0) -> str:
    """Return the SQL of DuckDB's ``read_csv`` for files of one dialect.

    DuckDB 1.5 silently skips all rows if it detects a wrong line end, so the SQL names ``LF`` or ``CR``. It does not
    name ``CR LF``, because DuckDB then skips all rows too.
    """
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in dialect.column_names)
    newline = {b"\n": ", new_line = '\\n'", b"\r": ", new_line = '\\r'"}.get(dialect.newline, "")
    long_rows = f", max_line_size = {row_bytes_upper_bound + 1}" if row_bytes_upper_bound >= DUCKDB_LINE_SIZE else ""
    return (
        f"read_csv({path_list_sql(files)}, auto_detect = false, columns = {{{columns}}}, "
        f"header = {str(dialect.header_line_count > 0).lower()}, skip = {dialect.skipped_line_count}, "
        f"delim = {literal(dialect.delimiter)}, "
        f"quote = '\"', escape = '\"', comment = '', strict_mode = true, "
        f"null_padding = false, compression = '{DUCKDB_COMPRESSION[files[0].compression]}'{newline}{long_rows})"
    )


def _union_sql(tables: Iterable[str]) -> str:
    """Return the SQL of the union of tables by the names of their columns."""
    tables = list(tables)
    if len(tables) == 1:
        return tables[0]
    return "(" + " union all by name ".join(f"select * from {table}" for table in tables) + ")"
