"""Copies of text files with the readable rows alone, and a list of the unreadable rows.

Where DuckDB refuses a file, this module reads the file line by line, in bounded memory.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final, TextIO

from jobs.errors import NextmartError
from jobs.loading.text_heads import TextDialect
from jobs.loading.text_records import NOT_UTF_8, Record, RecordReader, RecordRun, canonical_line, not_utf_8_reason

MAX_RAW_ROW: Final = 10_000
"""The most characters of an unreadable row that ``raw.unreadable_rows`` stores."""
_EXAMPLES_KEPT: Final = 5
_CHUNK_BYTES = 1 << 20


@dataclass
class UnreadableRows:
    """Collects the unreadable rows of one file: writes each to ``output`` as a line of JSON and keeps the first few.

    Attributes
    ----------
    file : str
        The file's path as the user gave it.
    output : text stream
        Receives ``{"file": ..., "line": ..., "raw_row": ..., "reason": ...}`` for each row.
    readable, unreadable : int
        The numbers of readable and of unreadable rows.
    longest : int
        An upper bound of the length of readable rows, in bytes.
    examples : list of str
        The first unreadable rows, each with file, line and reason.
    """

    file: str
    output: TextIO
    readable: int = 0
    unreadable: int = 0
    longest: int = 0
    examples: list[str] = field(default_factory=list)

    def write_row(self, line: bytes, target: BinaryIO) -> None:
        """Write a readable row, which ends with a line end, to ``target``, and count it."""
        target.write(line)
        self.readable += 1
        self.longest = max(self.longest, len(line))

    def write_run(self, lines: bytes, target: BinaryIO) -> None:
        """Write readable rows to ``target``, and count them; each row is one line that ends with a line feed."""
        target.write(lines)
        self.readable += lines.count(b"\n")
        self.longest = max(self.longest, len(lines))

    def write_unreadable(self, record: Record) -> None:
        """Write an unreadable row, with its reason, to the list ``output``, and count it."""
        text = record.raw.decode("utf-8", errors="backslashreplace")
        if len(text) > MAX_RAW_ROW:
            text = f"{text[:MAX_RAW_ROW]}... ({len(text):,} characters)"
        reason = record.reason
        if reason.startswith(NOT_UTF_8):
            reason += "; if the whole file is in another encoding, say it: --encoding cp1252 (or latin-1, ...)"
        row = {"file": self.file, "line": record.line, "raw_row": text, "reason": reason}
        self.output.write(json.dumps(row) + "\n")
        self.unreadable += 1
        if len(self.examples) < _EXAMPLES_KEPT:
            shown = text if len(text) <= 200 else text[:200] + "..."
            self.examples.append(f"{self.file}, line {record.line:,}: {reason}\n    {shown}")

    def require_few(self, max_share: float, header: str) -> None:
        """Raise an error if more than ``max_share`` of the file's rows can't be read.

        Raises
        ------
        NextmartError
            The message names the first unreadable rows and what to do.
        """
        total = self.readable + self.unreadable
        if self.unreadable <= max_share * total:
            return
        raise NextmartError(
            f"{self.file}: {self.unreadable:,} of {total:,} rows can't be read; "
            f"max_unreadable_share = {max_share:g} allows {int(max_share * total):,}. Nothing was loaded.\n"
            + (f"Its header: {header}\n" if header else "")
            + "".join(f"  {example}\n" for example in self.examples)
            + "Mend those lines, name the delimiter (--delimiter) or the encoding (--encoding), or set "
            "max_unreadable_share in nextmart.toml, so that such rows are set aside in raw.unreadable_rows."
        )


def copy_text(source: BinaryIO, target: BinaryIO, dialect: TextDialect, rows: UnreadableRows) -> None:
    """Copy the readable records of a delimited text, without its header, to ``target``, each with a plain line end.

    Parameters
    ----------
    source : binary stream
        The file from its beginning, in UTF-8.
    """
    source.read(dialect.offset)
    newline = b"\r" if dialect.newline == b"\r" else b"\n"
    first_line = dialect.skip + dialect.header_lines + 1
    reader = RecordReader(_chunks(source), dialect.delimiter, len(dialect.columns), first_line, newline)
    for record in reader.records_and_runs():
        if isinstance(record, RecordRun):
            rows.write_run(record.lines, target)
        elif record.reason:
            rows.write_unreadable(record)
        elif record.fields is not None:
            rows.write_row(canonical_line(record.fields, dialect.delimiter), target)
        else:
            rows.write_row(record.raw + b"\n", target)


def copy_json_lines(source: BinaryIO, target: BinaryIO, rows: UnreadableRows) -> None:
    """Copy the lines of a text that are JSON objects to ``target``."""
    for number, line in enumerate(source, start=1):
        body = line.rstrip(b"\r\n").removeprefix(b"\xef\xbb\xbf" if number == 1 else b"")
        if not body.strip():
            continue
        reason = _json_fault(body)
        if reason:
            rows.write_unreadable(Record(number, body, None, reason))
        else:
            rows.write_row(body + b"\n", target)


def _json_fault(line_bytes: bytes) -> str:
    """Return the reason why a line is no JSON object; an empty text if the line is one."""
    reason = not_utf_8_reason(line_bytes)
    if reason:
        return reason
    try:
        value = json.loads(line_bytes)
    except json.JSONDecodeError as error:
        return f"Malformed JSON: {error.msg} at column {error.colno:,}"
    except (RecursionError, ValueError) as error:
        return f"Malformed JSON: {error}"
    if not isinstance(value, dict):
        return "no JSON object: a row is an object, such as {...}"
    if b"\\u" in line_bytes:
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError as error:
            return f"Malformed JSON: half a character, \\u{ord(error.object[error.start]):04x}, without its other half"
    return ""


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    """Yield a stream's bytes in chunks."""
    while piece := source.read(_CHUNK_BYTES):
        yield piece
