"""Finds a text file's encoding, delimiter and header by the file's first bytes.

The functions get the first bytes as arguments; none opens a file.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from jobs.loading.text_records import TextAfterQuoteError, UnclosedQuoteError, split_fields

HEAD_BYTES: Final = 1 << 18
"""The number of a file's first bytes from which its encoding and dialect are told."""
DELIMITERS: Final = ("\t", "::", "|", ";", ",")
"""The delimiters that are recognized in a header line, from the likeliest to those
that column names may contain. A single colon is not among them, because times contain colons."""

_HEAD_LINES = 1_000
_UTF_8_BOM = b"\xef\xbb\xbf"
_BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_UNKNOWN_TO_CP1252 = frozenset(b"\x81\x8d\x8f\x90\x9d")
_ACCESS_LOG_PATTERN = re.compile(r"\S+ \S+ \S+ \[[0-9]{1,2}/\w+/[0-9]{4}:[0-9:]+ [+-][0-9]{4}\] .*")
_MIN_TABLE_LINES = 3
"""The fewest consecutive lines with equally many columns that are taken for a table."""
_VALUE_PATTERN = re.compile(r"[-+]?[0-9][0-9.,:eE+-]*|[0-9]{4}-[0-9]{2}-[0-9]{2}[T ].*")


@dataclass(frozen=True)
class TextDialect:
    """The dialect and the header of a delimited text file.

    Attributes
    ----------
    delimiter : str
        What stands between fields.
    newline : bytes
        The line end of the header, or of the first row if there is no header.
    skipped_line_count : int
        The number of lines before the header, or before the first row if there is no header.
    header_line_count : int
        The number of lines of the header; 0 if there is none.
    column_names : tuple of str
        The names of the columns, each once.
    first_line : str
        The unparsed text of the header, or of the first row.
    byte_count_before_rows : int
        The number of bytes before the first row.
    has_uniform_newlines : bool
        Whether all lines up to and including ``first_line`` have the same line end, and no quoted value among them
        holds a line end. Otherwise DuckDB may choose a wrong line end, and lose rows.
    """

    delimiter: str
    newline: bytes
    skipped_line_count: int
    header_line_count: int
    column_names: tuple[str, ...]
    first_line: str
    byte_count_before_rows: int = 0
    has_uniform_newlines: bool = True


def likely_encoding(first_bytes: bytes) -> str | None:
    """Return the encoding that a file's first bytes suggest, or None if they may be UTF-8."""
    if first_bytes[:2] in _BOMS:
        return _BOMS[first_bytes[:2]]
    pairs = len(first_bytes) // 2
    if pairs and first_bytes[1::2].count(0) > 0.4 * pairs:
        return "utf-16-le"
    if pairs and first_bytes[0::2].count(0) > 0.4 * pairs:
        return "utf-16-be"
    try:
        # the first bytes may end inside a character of several bytes
        whole_lines = first_bytes if len(first_bytes) < HEAD_BYTES else first_bytes[: first_bytes.rfind(b"\n") + 1]
        whole_lines.decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1" if _UNKNOWN_TO_CP1252 & set(first_bytes) else "cp1252"
    return None


def dialect_of_text(
    first_bytes: bytes, delimiter: str | None, column_names: tuple[str, ...] | None
) -> TextDialect | None:
    """Return the dialect and the header of a text file by its first bytes, or None if the file has no line.

    Parameters
    ----------
    first_bytes : bytes
        The first bytes of the file, in UTF-8; a byte order mark may stand before them.
    delimiter : str, optional
        The delimiter; None: the first line says it.
    column_names : tuple of str, optional
        The names of the columns of a file without a header; None: the first line has them.
    """
    bom = len(_UTF_8_BOM) if first_bytes.startswith(_UTF_8_BOM) else 0
    lines = _first_lines(first_bytes[bom:])
    skip = 0
    while skip < len(lines) and not lines[skip].text.strip():
        skip += 1
    declared = re.fullmatch(rb'"?sep=(.)"?', lines[skip].text) if skip < len(lines) else None
    if declared:  # Excel writes a first line such as "sep=;" to name the delimiter
        delimiter = delimiter or declared[1].decode("latin-1")
        skip += 1
    if skip >= len(lines):
        return None
    last = skip
    while _quotes_are_open(lines[skip : last + 1]) and last + 1 < len(lines):
        last += 1
    if _quotes_are_open(lines[skip : last + 1]):
        last = skip
    first = b"".join(line.text + line.line_end for line in lines[skip:last]) + lines[last].text
    first_line = first.decode("utf-8", errors="replace")
    newline = lines[last].line_end or b"\n"
    has_uniform_newlines = last == skip and all(line.line_end == newline for line in lines[:last])
    if not delimiter and column_names and len(column_names) > 1:
        delimiter = _delimiter_of_width([_decoded_line(line) for line in lines[skip : skip + 100]], len(column_names))
    delimiter = delimiter or (" " if is_access_log_line(first_line) else _most_frequent_delimiter(first_line))
    if column_names:
        offset = bom + sum(len(line.text + line.line_end) for line in lines[:skip])
        return TextDialect(delimiter, newline, skip, 0, column_names, first_line, offset, has_uniform_newlines)
    offset = bom + sum(len(line.text + line.line_end) for line in lines[: last + 1])
    names = _unique_names(_split_line(first_line, delimiter))
    return TextDialect(delimiter, newline, skip, last + 1 - skip, names, first_line, offset, has_uniform_newlines)


def is_access_log_line(line: str) -> bool:
    """Tell whether a line has a web server's Common or Combined Log Format."""
    return bool(_ACCESS_LOG_PATTERN.fullmatch(line))


def count_lines_before_table(first_bytes: bytes) -> tuple[int, str] | None:
    """Return the number of lines before a file's table, such as a title, and the table's delimiter.

    Return None if there are no such lines. A file has them if its first line has no delimiter and later lines all have
    the same number of columns, at least two.

    Parameters
    ----------
    first_bytes : bytes
        The first bytes of the file, in UTF-8; a byte order mark may stand before them.
    """
    lines = [_decoded_line(line) for line in _first_lines(first_bytes.removeprefix(_UTF_8_BOM))[:20]]
    filled = [number for number, line in enumerate(lines) if line.strip()]
    if not filled or any(sign in lines[filled[0]] for sign in DELIMITERS):
        return None
    for delimiter in DELIMITERS:
        counts = [len(_split_line(line, delimiter)) for line in lines]
        before = next((number for number, count in enumerate(counts) if count > 1), len(lines))
        table = counts[before:]
        if len(table) >= _MIN_TABLE_LINES and len(set(table)) == 1:
            return before, delimiter
    return None


def _delimiter_of_width(lines: Sequence[str], width: int) -> str | None:
    """Return the delimiter that divides most lines into ``width`` columns; None if no delimiter does."""
    counts = {
        delimiter: sum(len(_split_line(line, delimiter)) == width for line in lines) for delimiter in (*DELIMITERS, " ")
    }
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else None


def _decoded_line(line: "_Line") -> str:
    return line.text.decode("utf-8", errors="replace")


class _Line(NamedTuple):
    text: bytes
    line_end: bytes


def _first_lines(first_bytes: bytes) -> list[_Line]:
    """Return the first ``_HEAD_LINES`` lines of a text with their line ends, and the rest of the text as one more line.

    An empty last line is left out.
    """
    parts = re.split(rb"(\r\n|\n|\r)", first_bytes, maxsplit=_HEAD_LINES)
    lines = [_Line(text, end) for text, end in zip(parts[::2], [*parts[1::2], b""], strict=True)]
    return lines if lines[-1].text else lines[:-1]


def lines_after_header(first_bytes: bytes, dialect: TextDialect) -> list[str]:
    """Return some of the lines after the header or, in a file without a header, after the first row.

    Parameters
    ----------
    first_bytes : bytes
        The first bytes of the file, in UTF-8.
    """
    return (
        first_bytes[dialect.byte_count_before_rows :]
        .decode("utf-8", errors="replace")
        .split(dialect.newline.decode())[:_HEAD_LINES]
    )


def has_no_header(dialect: TextDialect, next_lines: Sequence[str], known_names: Collection[str]) -> bool:
    """Tell whether the first line of a file holds values rather than the names of columns.

    Parameters
    ----------
    next_lines : sequence of str
        Some lines after the first.
    known_names : collection of str, in lower case
        Names that a header is likely to have: nextmart's own, and those that ``--map`` mentions.
    """
    names = [field.strip() for field in _split_line(dialect.first_line, dialect.delimiter)]
    if any(name.lower() in known_names for name in names):
        return False
    if any(_VALUE_PATTERN.fullmatch(name) for name in names if name) or is_access_log_line(dialect.first_line):
        return True
    rows = [_split_line(line, dialect.delimiter) for line in next_lines]
    return any(
        name and len(row) == len(names) and row[column].strip() == name
        for row in rows
        for column, name in enumerate(names)
        if len(row) == len(names)
    )


def _quotes_are_open(lines: Iterable[_Line]) -> bool:
    return sum(line.text.count(b'"') for line in lines) % 2 == 1


def _most_frequent_delimiter(line: str) -> str:
    """Return the delimiter that occurs most often in a line, not counting quoted parts; a comma if there is none."""
    outside = re.sub(r'"[^"]*"', "", line)
    return max(DELIMITERS, key=outside.count) if any(sign in outside for sign in DELIMITERS) else ","


def _split_line(line: str, delimiter: str) -> list[str]:
    """Return a line's fields; a line with broken quotes is split at every delimiter."""
    try:
        return split_fields(line, delimiter)[0]
    except (UnclosedQuoteError, TextAfterQuoteError):
        return line.split(delimiter)


def _unique_names(fields: Sequence[str]) -> tuple[str, ...]:
    """Return unique column names: an empty name becomes one such as ``column3``, and a repeated name gets a number."""
    names: list[str] = []
    taken: set[str] = set()
    for position, field in enumerate(fields):
        stem = field.strip() or f"column{position}"
        name, number = stem, 0
        while name.lower() in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name.lower())
        names.append(name)
    return tuple(names)


def words_of_sql_expressions(expressions: Iterable[str]) -> set[str]:
    """Return the words in SQL expressions and each whole expression, all in lower case."""
    texts = [expression.lower() for expression in expressions]
    return {*texts, *(word for text in texts for word in re.findall(r"\w+", text))}
