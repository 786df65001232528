"""The beginning of a text file: its encoding, its delimiter, its header, and whether it has a header at all.

Everything here is decided from the first bytes of a file, and nothing reads a file.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from jobs.loading.text_records import BrokenQuote, OpenQuote, split_fields

HEAD_BYTES: Final = 1 << 18
"""How much of a file's beginning is looked at."""
DELIMITERS: Final = ("\t", "::", "|", ";", ",")
"""The delimiters that are told from a header line; names have the last ones rather than the first ones in them. One
colon is none, because times have colons."""

_HEAD_LINES = 1_000
_UTF_8_BOM = b"\xef\xbb\xbf"
_BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_UNKNOWN_TO_CP1252 = frozenset(b"\x81\x8d\x8f\x90\x9d")
_ACCESS_LOG = re.compile(r"\S+ \S+ \S+ \[[0-9]{1,2}/\w+/[0-9]{4}:[0-9:]+ [+-][0-9]{4}\] .*")
_TABLE_LINES = 3
"""So many lines with one number of columns are a table."""
_VALUE = re.compile(r"[-+]?[0-9][0-9.,:eE+-]*|[0-9]{4}-[0-9]{2}-[0-9]{2}[T ].*")


@dataclass(frozen=True)
class TextHead:
    """How a delimited text file is to be read.

    Attributes
    ----------
    delimiter : str
        What stands between fields.
    newline : bytes
        The line end of the header, or of the first row where there is no header.
    skip : int
        The number of lines before the header, or before the first row where there is no header.
    header_lines : int
        The number of lines of the header; 0 if there is none.
    columns : tuple of str
        The names of the columns, each once.
    first_line : str
        The header, or the first row, as it stands.
    offset : int
        The number of bytes before the first row.
    has_one_newline : bool
        Whether all lines up to the first line have one line end, and no quoted value in them has any. Otherwise DuckDB
        may take another sign for the line end, and lose rows.
    """

    delimiter: str
    newline: bytes
    skip: int
    header_lines: int
    columns: tuple[str, ...]
    first_line: str
    offset: int = 0
    has_one_newline: bool = True


def likely_encoding(head: bytes) -> str | None:
    """Return the encoding that a file's first bytes suggest, or None if they may be UTF-8."""
    if head[:2] in _BOMS:
        return _BOMS[head[:2]]
    pairs = len(head) // 2
    if pairs and head[1::2].count(0) > 0.4 * pairs:
        return "utf-16-le"
    if pairs and head[0::2].count(0) > 0.4 * pairs:
        return "utf-16-be"
    try:
        # the head may end inside a character
        head.decode("utf-8") if len(head) < HEAD_BYTES else head[: head.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1" if _UNKNOWN_TO_CP1252 & set(head) else "cp1252"
    return None


def text_head(head: bytes, delimiter: str | None, columns: tuple[str, ...] | None) -> TextHead | None:
    """Return how the file that begins with ``head`` is to be read, or None if it has no line.

    Parameters
    ----------
    head : bytes
        The first bytes of the file, in UTF-8; a byte order mark may stand before them.
    delimiter : str, optional
        The delimiter; None: the first line says it.
    columns : tuple of str, optional
        The names of the columns of a file without a header; None: the first line has them.
    """
    bom = len(_UTF_8_BOM) if head.startswith(_UTF_8_BOM) else 0
    lines = _first_lines(head[bom:])
    skip = 0
    while skip < len(lines) and not lines[skip].text.strip():
        skip += 1
    declared = re.fullmatch(rb'"?sep=(.)"?', lines[skip].text) if skip < len(lines) else None
    if declared:  # Excel's way to say the delimiter
        delimiter = delimiter or declared[1].decode("latin-1")
        skip += 1
    if skip >= len(lines):
        return None
    last = skip
    while _quotes_are_open(lines[skip : last + 1]) and last + 1 < len(lines):
        last += 1
    if _quotes_are_open(lines[skip : last + 1]):
        last = skip
    first = b"".join(line.text + line.end for line in lines[skip:last]) + lines[last].text
    first_line = first.decode("utf-8", errors="replace")
    newline = lines[last].end or b"\n"
    has_one_newline = last == skip and all(line.end == newline for line in lines[:last])
    if not delimiter and columns and len(columns) > 1:
        delimiter = _delimiter_of_width([_decoded(line) for line in lines[skip : skip + 100]], len(columns))
    delimiter = delimiter or (" " if is_access_log(first_line) else _most_frequent_delimiter(first_line))
    if columns:
        offset = bom + sum(len(line.text + line.end) for line in lines[:skip])
        return TextHead(delimiter, newline, skip, 0, columns, first_line, offset, has_one_newline)
    offset = bom + sum(len(line.text + line.end) for line in lines[: last + 1])
    names = _names(_fields(first_line, delimiter))
    return TextHead(delimiter, newline, skip, last + 1 - skip, names, first_line, offset, has_one_newline)


def is_access_log(line: str) -> bool:
    """Tell whether a line is one of a web server's log in the Common or the Combined Log Format."""
    return bool(_ACCESS_LOG.fullmatch(line))


def lines_before_table(head: bytes) -> tuple[int, str] | None:
    """Return how many lines stand before a table, such as a title, and the table's delimiter; None if none do.

    Lines stand before a table if the first line has no delimiter, and later lines all have the same number of columns.

    Parameters
    ----------
    head : bytes
        The first bytes of the file, in UTF-8; a byte order mark may stand before them.
    """
    lines = [_decoded(line) for line in _first_lines(head.removeprefix(_UTF_8_BOM))[:20]]
    filled = [number for number, line in enumerate(lines) if line.strip()]
    if not filled or any(sign in lines[filled[0]] for sign in DELIMITERS):
        return None
    for delimiter in DELIMITERS:
        counts = [len(_fields(line, delimiter)) for line in lines]
        before = next((number for number, count in enumerate(counts) if count > 1), len(lines))
        table = counts[before:]
        if len(table) >= _TABLE_LINES and len(set(table)) == 1:
            return before, delimiter
    return None


def _delimiter_of_width(lines: Sequence[str], width: int) -> str | None:
    """Return the delimiter by which most lines have a number of columns; None if no line has it."""
    counts = {
        delimiter: sum(len(_fields(line, delimiter)) == width for line in lines) for delimiter in (*DELIMITERS, " ")
    }
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else None


def _decoded(line: "_Line") -> str:
    return line.text.decode("utf-8", errors="replace")


class _Line(NamedTuple):
    text: bytes
    end: bytes


def _first_lines(head: bytes) -> list[_Line]:
    """Return the first lines of a text with their ends, up to some hundred, without an empty last line."""
    parts = re.split(rb"(\r\n|\n|\r)", head, maxsplit=_HEAD_LINES)
    lines = [_Line(text, end) for text, end in zip(parts[::2], [*parts[1::2], b""], strict=True)]
    return lines if lines[-1].text else lines[:-1]


def lines_after_header(beginning: bytes, head: TextHead) -> list[str]:
    """Return some lines after the header, or after the first row where there is no header.

    Parameters
    ----------
    beginning : bytes
        The first bytes of the file, in UTF-8.
    """
    return beginning[head.offset :].decode("utf-8", errors="replace").split(head.newline.decode())[:_HEAD_LINES]


def has_no_header(head: TextHead, following: Sequence[str], known_names: Collection[str]) -> bool:
    """Tell whether the first line of a file holds values rather than the names of columns.

    Parameters
    ----------
    following : sequence of str
        Some lines after the first.
    known_names : collection of str, in lower case
        Names that stand in a header: nextmart's own, and those that ``--map`` mentions.
    """
    names = [field.strip() for field in _fields(head.first_line, head.delimiter)]
    if any(name.lower() in known_names for name in names):
        return False
    if any(_VALUE.fullmatch(name) for name in names if name) or is_access_log(head.first_line):
        return True
    rows = [_fields(line, head.delimiter) for line in following]
    return any(
        name and len(row) == len(names) and row[column].strip() == name
        for row in rows
        for column, name in enumerate(names)
        if len(row) == len(names)
    )


def _quotes_are_open(lines: Iterable[_Line]) -> bool:
    return sum(line.text.count(b'"') for line in lines) % 2 == 1


def _most_frequent_delimiter(line: str) -> str:
    """Return the delimiter that a line has most often outside quotes; a comma if it has none."""
    outside = re.sub(r'"[^"]*"', "", line)
    return max(DELIMITERS, key=outside.count) if any(sign in outside for sign in DELIMITERS) else ","


def _fields(line: str, delimiter: str) -> list[str]:
    """Return a line's fields; a line with broken quotes is cut at each delimiter."""
    try:
        return split_fields(line, delimiter)[0]
    except (OpenQuote, BrokenQuote):
        return line.split(delimiter)


def _names(fields: Sequence[str]) -> tuple[str, ...]:
    """Return the names of columns: a missing name becomes ``column3``, a repeated one gets a number at its end."""
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


def words(texts: Iterable[str]) -> set[str]:
    """Return the words of SQL expressions in lower case, and each whole expression."""
    expressions = [text.lower() for text in texts]
    return {*expressions, *(word for text in expressions for word in re.findall(r"\w+", text))}
