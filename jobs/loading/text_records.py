"""Records of delimited text: which lines make up a record, which fields it has, and which lines make none.

The grammar is RFC 4180: a field in quotes may hold delimiters, line ends and doubled quotes. A quote inside a field
without quotes is a plain character. Nothing here reads or writes a file.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from jobs.loading.text_runs import LineBuffer, run_pattern, utf_8_lines

MAX_RECORD_LINES: Final = 10_000
"""A quote that is still open after so many lines is taken for one that nothing closes."""

NOT_UTF_8 = "not utf-8"
_QUOTED = re.compile(r' *"([^"]*(?:""[^"]*)*)("?) *')
_QUOTED_BETWEEN_BLANKS = re.compile(r'"([^"]*(?:""[^"]*)*)("?)')


@dataclass(frozen=True)
class Record:
    """One record of a text, or the lines that make none.

    Attributes
    ----------
    line : int
        Number of its first line, from 1.
    raw : bytes
        Its lines as they stand, without the last line's end.
    fields : list of str, optional
        The values of its fields, if it is readable and holds a quote; None if ``raw`` can be copied as it stands.
    reason : str
        Why it can't be read; empty if it can.
    """

    line: int
    raw: bytes
    fields: list[str] | None = None
    reason: str = ""


@dataclass(frozen=True)
class Run:
    """Consecutive lines of which each is a readable record.

    Attributes
    ----------
    line : int
        Number of the first line, from 1.
    lines : bytes
        The lines, each with a plain line end.
    """

    line: int
    lines: bytes


class OpenQuote(ValueError):
    """A text ends inside a quoted field."""


class BrokenQuote(ValueError):
    """A text has something other than a delimiter after a closing quote."""


def split_fields(text: str, delimiter: str) -> tuple[list[str], bool]:
    """Return the values of one record's fields, and whether a field without quotes holds a quote.

    Raises
    ------
    OpenQuote, BrokenQuote
        If the text is no whole record.
    """
    fields: list[str] = []
    position, has_stray_quote = 0, False
    pattern = _QUOTED_BETWEEN_BLANKS if delimiter.startswith(" ") else _QUOTED
    while True:
        quoted = pattern.match(text, position)
        if quoted:
            if not quoted[2]:
                raise OpenQuote("a quote opens a field, and nothing closes it")
            fields.append(quoted[1].replace('""', '"'))
            position = quoted.end()
            if position < len(text) and not text.startswith(delimiter, position):
                raise BrokenQuote("text follows a closing quote; a quote inside a quoted field is written twice")
        else:
            end = text.find(delimiter, position)
            fields.append(text[position : end if end >= 0 else len(text)])
            has_stray_quote = has_stray_quote or '"' in fields[-1]
            position = end if end >= 0 else len(text)
        if position >= len(text):
            return fields, has_stray_quote
        position += len(delimiter)


class RecordReader:
    """Reads records from lines, and goes on after a broken one with the next line that is certainly a record.

    Parameters
    ----------
    pieces : iterable of bytes
        The text, in pieces of any size.
    delimiter : str
        What stands between fields.
    width : int
        The number of fields of a record.
    first_line : int
        The number of the text's first line.
    newline : bytes
        The one byte that ends a line.
    """

    def __init__(
        self, pieces: Iterable[bytes], delimiter: str, width: int, first_line: int, newline: bytes = b"\n"
    ) -> None:
        self._lines = LineBuffer(pieces, newline)
        self._newline = newline
        self._delimiter = delimiter
        self._delimiter_bytes = delimiter.encode()
        self._width = width
        self._line = first_line
        self._run = run_pattern(self._delimiter_bytes, width, newline)
        # a line that is one record in which only whole fields have quotes: such a line needs no closer look
        between = re.escape(delimiter)
        field = rf'(?:"[^"]*(?:""[^"]*)*"|(?:(?!{between})[^"\r\n])*)'
        pattern = field + f"(?:{between}{field})" * (width - 1)
        self._whole_record = re.compile(pattern.encode())
        # after a broken record, a line with a quote inside a field may be the end of that record: no such line is
        # used until a record with whole quotes has been read
        self._recovering = False

    def __iter__(self) -> Iterator[Record]:
        """Yield every record, and every line that makes none; empty lines are left out where rows have two fields."""
        for part in self.parts():
            if isinstance(part, Record):
                yield part
            else:
                lines = part.lines.split(b"\n")[:-1]
                yield from (Record(part.line + number, line) for number, line in enumerate(lines))

    def parts(self) -> Iterator[Run | Record]:
        """Yield what iteration over the reader yields, with many readable records at once where that is possible."""
        while True:
            run = self._lines.next_run(self._run)
            lines = utf_8_lines(run, self._newline)
            self._lines.step_back(len(run) - len(lines))
            if lines:
                yield Run(self._line, self._with_plain_ends(lines))
                self._line += lines.count(self._newline)
                self._recovering = self._recovering and b'"' not in lines
            line = self._lines.next_line()
            if line is None:
                return
            body = _without_end(line)
            if self._width > 1 and not body.strip():
                self._line += 1
            elif b'"' not in body:
                yield self._plain_record(body)
                self._line += 1
            elif self._whole_record.fullmatch(body) and not not_utf_8(body):
                self._recovering = False
                yield Record(self._line, body)
                self._line += 1
            else:
                yield from self._quoted_record(line)

    def _with_plain_ends(self, lines: bytes) -> bytes:
        """Return lines, in whose fields there is no line end, with plain line ends."""
        return lines.replace(b"\r", b"\n" if self._newline == b"\r" else b"")

    def _plain_record(self, body: bytes) -> Record:
        """Return a line without quotes as a record."""
        found = body.count(self._delimiter_bytes) + 1
        while found > self._width and body.endswith(self._delimiter_bytes):
            body, found = body[: -len(self._delimiter_bytes)], found - 1
        reason = not_utf_8(body)
        if found != self._width:
            reason = reason or _width_reason(found, self._width)
        elif b"\r" in body:
            reason = reason or "a carriage return inside a line: a value with a line end needs quotes"
        return Record(self._line, body, None, reason)

    def _quoted_record(self, line: bytes) -> Iterator[Record]:
        """Yield the record that begins at a line with a quote, or the lines that make none."""
        taken = [line]
        fields, reason = self._parse(line)
        self._lines.remember()
        while reason == _OPEN and len(taken) < MAX_RECORD_LINES:
            more = self._lines.next_line()
            if more is None:
                break
            taken.append(more)
            if b'"' in more:  # only such a line can close the field
                fields, reason = self._parse(b"".join(taken))
        if reason and len(taken) > 1 and all(self._parse(single, strict=True)[0] for single in taken[1:]):
            # each following line is a record by itself, so that the first line alone is broken
            self._lines.return_to_remembered()
            taken = taken[:1]
            reason = _OPEN
        elif reason == _OPEN:  # the following lines are judged one by one
            self._lines.return_to_remembered()
            taken = taken[:1]
        self._lines.forget()
        self._recovering = bool(reason)
        yield Record(self._line, _without_end(b"".join(taken)), fields if not reason else None, reason)
        self._line += len(taken)

    def _parse(self, raw: bytes, *, strict: bool = False) -> tuple[list[str] | None, str]:
        """Return the fields of one record and no reason, or no fields and the reason why it is none."""
        body = _without_end(raw)
        reason = not_utf_8(body)
        if reason:
            return None, reason
        try:
            fields, has_stray_quote = split_fields(body.decode("utf-8"), self._delimiter)
        except OpenQuote:
            return None, _OPEN
        except BrokenQuote as error:
            return None, str(error)
        while len(fields) > self._width and not fields[-1]:
            fields.pop()
        if len(fields) != self._width:
            return None, _width_reason(len(fields), self._width)
        if has_stray_quote and (strict or self._recovering):
            return None, "a quote inside a field, which may be the end of the broken row before"
        return fields, ""


_OPEN = "a quote opens a field, and nothing closes it"


def _width_reason(found: int, expected: int) -> str:
    """Return the reason why a record with another number of columns than the header is unreadable."""
    return f"{found:,} {'column' if found == 1 else 'columns'}, not {expected:,}"


def not_utf_8(body: bytes) -> str:
    """Return the reason why bytes are no UTF-8 text, or an empty text."""
    if body.isascii():
        return ""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"{NOT_UTF_8}: byte 0x{body[error.start]:02x} at position {error.start + 1:,}"
    return ""


def _without_end(line: bytes) -> bytes:
    """Return a line without its line end."""
    if line.endswith(b"\r\n"):
        return line[:-2]
    return line[:-1] if line.endswith((b"\n", b"\r")) else line


def canonical_line(fields: Iterable[str], delimiter: str) -> bytes:
    """Return fields as one record in which every value that is not empty stands in quotes, with a line end."""
    return (delimiter.join('"' + f.replace('"', '""') + '"' if f else "" for f in fields) + "\n").encode()
