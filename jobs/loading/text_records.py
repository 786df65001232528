"""Splits delimited text into records and their fields, and finds the lines that form no record.

The grammar is RFC 4180: a field in quotes may hold delimiters, line ends and doubled quotes. A quote inside a field
without quotes is a plain character. Nothing here reads or writes a file.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from jobs.loading.line_runs import LineBuffer, leading_utf_8_lines, line_run_pattern

MAX_RECORD_LINES: Final = 10_000
"""The most lines of one record; a quote that is open for more lines is taken for a broken quote."""

NOT_UTF_8 = "not utf-8"
_QUOTED = re.compile(r' *"([^"]*(?:""[^"]*)*)("?) *')
_QUOTED_BETWEEN_BLANKS = re.compile(r'"([^"]*(?:""[^"]*)*)("?)')


@dataclass(frozen=True)
class Record:
    """One record of a delimited text, or lines that form no readable record.

    Attributes
    ----------
    first_line_number : int
        The number of the record's first line, from 1.
    raw_bytes : bytes
        The record's unchanged bytes, without the last line's end.
    parsed_fields : list of str, optional
        The values of the fields, if the record is readable and its quotes had to be parsed. None if the record is
        unreadable, or if ``raw_bytes`` can be copied unchanged.
    unreadable_reason : str
        Why the record can't be read; an empty text if it can.
    """

    first_line_number: int
    raw_bytes: bytes
    parsed_fields: list[str] | None = None
    unreadable_reason: str = ""


@dataclass(frozen=True)
class ReadableLines:
    """Consecutive lines, each of which is a readable record.

    Attributes
    ----------
    first_line_number : int
        Number of the first line, from 1.
    joined_lines : bytes
        The lines one after another, each with a line feed at its end.
    """

    first_line_number: int
    joined_lines: bytes


class UnclosedQuoteError(ValueError):
    """A text ends inside a quoted field."""


class TextAfterQuoteError(ValueError):
    """A closing quote is followed by something other than a delimiter."""


def split_fields(text: str, delimiter: str) -> tuple[list[str], bool]:
    """Split one record into its fields; return their values, and whether an unquoted field holds a quote.

    Raises
    ------
    UnclosedQuoteError, TextAfterQuoteError
        If the text is not one whole record.
    """
    fields: list[str] = []
    position, has_stray_quote = 0, False
    pattern = _QUOTED_BETWEEN_BLANKS if delimiter.startswith(" ") else _QUOTED
    while True:
        quoted = pattern.match(text, position)
        if quoted:
            if not quoted[2]:
                raise UnclosedQuoteError("a quote opens a field, and nothing closes it")
            fields.append(quoted[1].replace('""', '"'))
            position = quoted.end()
            if position < len(text) and not text.startswith(delimiter, position):
                raise TextAfterQuoteError(
                    "text follows a closing quote; a quote inside a quoted field is written twice"
                )
        else:
            end = text.find(delimiter, position)
            fields.append(text[position : end if end >= 0 else len(text)])
            has_stray_quote = has_stray_quote or '"' in fields[-1]
            position = end if end >= 0 else len(text)
        if position >= len(text):
            return fields, has_stray_quote
        position += len(delimiter)


class RecordReader:
    """Reads records from a text, and continues after a broken record at the next line that is surely a record.

    Parameters
    ----------
    text_pieces : iterable of bytes
        The text, cut anywhere into pieces of any size.
    delimiter : str
        The delimiter between fields.
    width : int
        The number of fields of a record.
    first_line_number : int
        The number that the text's first line has in the file, from 1.
    newline : bytes
        The one byte that ends a line.
    """

    def __init__(
        self, text_pieces: Iterable[bytes], delimiter: str, width: int, first_line_number: int, newline: bytes = b"\n"
    ) -> None:
        self._lines = LineBuffer(text_pieces, newline)
        self._newline = newline
        self._delimiter = delimiter
        self._delimiter_bytes = delimiter.encode()
        self._width = width
        self._line = first_line_number
        self._run = line_run_pattern(self._delimiter_bytes, width, newline)
        # the pattern of a line that is one record in which only whole fields are quoted; such a line is not parsed
        # further
        between = re.escape(delimiter)
        field = rf'(?:"[^"]*(?:""[^"]*)*"|(?:(?!{between})[^"\r\n])*)'
        pattern = field + f"(?:{between}{field})" * (width - 1)
        self._whole_record = re.compile(pattern.encode())
        # after a broken record, a line with a quote inside a field may belong to that record, so such lines are
        # unreadable until a record whose quotes are complete has been read
        self._recovering = False

    def __iter__(self) -> Iterator[Record]:
        """Yield every record, readable or not; empty lines are left out if records have two fields or more."""
        for part in self.records_and_readable_lines():
            if isinstance(part, Record):
                yield part
            else:
                lines = part.joined_lines.split(b"\n")[:-1]
                yield from (Record(part.first_line_number + number, line) for number, line in enumerate(lines))

    def records_and_readable_lines(self) -> Iterator[ReadableLines | Record]:
        """Yield all records in order: ``ReadableLines`` where consecutive lines need no parsing, else single records.

        A single ``Record`` may be readable, such as one with quotes, or unreadable. ``unreadable_reason`` says why.
        """
        while True:
            run = self._lines.next_line_run(self._run)
            lines = leading_utf_8_lines(run, self._newline)
            self._lines.step_back(len(run) - len(lines))
            if lines:
                yield ReadableLines(self._line, self._with_line_feeds(lines))
                self._line += lines.count(self._newline)
                self._recovering = self._recovering and b'"' not in lines
            line = self._lines.next_line()
            if line is None:
                return
            body = _without_line_end(line)
            if self._width > 1 and not body.strip():
                self._line += 1
            elif b'"' not in body:
                yield self._unquoted_record(body)
                self._line += 1
            elif self._whole_record.fullmatch(body) and not not_utf_8_reason(body):
                self._recovering = False
                yield Record(self._line, body)
                self._line += 1
            else:
                yield from self._quoted_record(line)

    def _with_line_feeds(self, lines: bytes) -> bytes:
        """Return lines with every line end replaced by a line feed; no field of the lines may hold a line end."""
        return lines.replace(b"\r", b"\n" if self._newline == b"\r" else b"")

    def _unquoted_record(self, line_bytes: bytes) -> Record:
        """Return the record of a line that has no quotes."""
        found = line_bytes.count(self._delimiter_bytes) + 1
        while found > self._width and line_bytes.endswith(self._delimiter_bytes):
            line_bytes, found = line_bytes[: -len(self._delimiter_bytes)], found - 1
        reason = not_utf_8_reason(line_bytes)
        if found != self._width:
            reason = reason or _wrong_width_reason(found, self._width)
        elif b"\r" in line_bytes:
            reason = reason or "a carriage return inside a line: a value with a line end needs quotes"
        return Record(self._line, line_bytes, None, reason)

    def _quoted_record(self, line: bytes) -> Iterator[Record]:
        """Yield the record that begins at a line with a quote; if its quotes are broken, yield unreadable records."""
        taken = [line]
        fields, reason = self._parse_record(line)
        self._lines.remember_position()
        while reason == _OPEN_QUOTE_REASON and len(taken) < MAX_RECORD_LINES:
            more = self._lines.next_line()
            if more is None:
                break
            taken.append(more)
            if b'"' in more:  # only a line with a quote can close the open field
                fields, reason = self._parse_record(b"".join(taken))
        if (
            reason
            and len(taken) > 1
            and all(self._parse_record(single, refuse_inner_quotes=True)[0] for single in taken[1:])
        ):
            # each following line is a record by itself, so the first line alone is the broken record
            self._lines.return_to_remembered_position()
            taken = taken[:1]
            reason = _OPEN_QUOTE_REASON
        elif reason == _OPEN_QUOTE_REASON:  # the following lines are parsed one by one
            self._lines.return_to_remembered_position()
            taken = taken[:1]
        self._lines.forget_position()
        self._recovering = bool(reason)
        yield Record(self._line, _without_line_end(b"".join(taken)), fields if not reason else None, reason)
        self._line += len(taken)

    def _parse_record(self, record_bytes: bytes, *, refuse_inner_quotes: bool = False) -> tuple[list[str] | None, str]:
        """Parse one record: return its fields and an empty reason, or None and the reason why it can't be read."""
        body = _without_line_end(record_bytes)
        reason = not_utf_8_reason(body)
        if reason:
            return None, reason
        try:
            fields, has_stray_quote = split_fields(body.decode("utf-8"), self._delimiter)
        except UnclosedQuoteError:
            return None, _OPEN_QUOTE_REASON
        except TextAfterQuoteError as error:
            return None, str(error)
        while len(fields) > self._width and not fields[-1]:
            fields.pop()
        if len(fields) != self._width:
            return None, _wrong_width_reason(len(fields), self._width)
        if has_stray_quote and (refuse_inner_quotes or self._recovering):
            return None, "a quote inside a field, which may be the end of the broken row before"
        return fields, ""


_OPEN_QUOTE_REASON = "a quote opens a field, and nothing closes it"


def _wrong_width_reason(field_count: int, expected_count: int) -> str:
    """Return the reason text for a record that has more or fewer columns than the header."""
    return f"{field_count:,} {'column' if field_count == 1 else 'columns'}, not {expected_count:,}"


def not_utf_8_reason(line_bytes: bytes) -> str:
    """Return the reason text for bytes that are not UTF-8; an empty text if they are UTF-8."""
    if line_bytes.isascii():
        return ""
    try:
        line_bytes.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"{NOT_UTF_8}: byte 0x{line_bytes[error.start]:02x} at position {error.start + 1:,}"
    return ""


def _without_line_end(line: bytes) -> bytes:
    """Return a line without its line end."""
    if line.endswith(b"\r\n"):
        return line[:-2]
    return line[:-1] if line.endswith((b"\n", b"\r")) else line


def quoted_line(fields: Iterable[str], delimiter: str) -> bytes:
    """Return fields as the line of one record: every value that is not empty is quoted."""
    return (delimiter.join('"' + f.replace('"', '""') + '"' if f else "" for f in fields) + "\n").encode()
