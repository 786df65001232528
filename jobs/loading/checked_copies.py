"""Makes copies of text files that have only the readable rows, and lists the unreadable rows.

The files are those that DuckDB refuses. They are read line by line, so that memory is bounded.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final, TextIO

from jobs.errors import NextmartError
from jobs.loading.text_dialects import TextDialect
from jobs.loading.text_records import NOT_UTF_8, ReadableLines, Record, RecordReader, not_utf_8_reason, quoted_line

MAX_RAW_ROW_CHARACTERS: Final = 10_000
"""The most characters of an unreadable row that ``raw.unreadable_rows`` stores."""
_EXAMPLES_KEPT: Final = 5
_CHUNK_BYTES = 1 << 20


@dataclass
class CheckedRowsWriter:
    """Writes the rows of one file: readable ones to a copy, unreadable ones as lines of JSON; it counts both.

    Attributes
    ----------
    input_file_path : str
        The file's path as the user gave it.
    unreadable_rows_file : text stream
        Receives ``{"file": ..., "line": ..., "raw_row": ..., "reason": ...}`` for each row.
    readable_count, unreadable_count : int
        The numbers of readable and of unreadable rows.
    row_bytes_upper_bound : int
        A length in bytes that no readable row exceeds.
    unreadable_examples : list of str
        The first unreadable rows, each with file, line and reason.
    """

    input_file_path: str
    unreadable_rows_file: TextIO
    readable_count: int = 0
    unreadable_count: int = 0
    row_bytes_upper_bound: int = 0
    unreadable_examples: list[str] = field(default_factory=list)

    def write_readable_row(self, line: bytes, output_stream: BinaryIO) -> None:
        """Write a readable row, which ends with a line feed, to the copy ``output_stream``, and count it."""
        output_stream.write(line)
        self.readable_count += 1
        self.row_bytes_upper_bound = max(self.row_bytes_upper_bound, len(line))

    def write_readable_lines(self, lines: bytes, output_stream: BinaryIO) -> None:
        """Write readable rows, each of one line with a line feed, to the copy ``output_stream``, and count them."""
        output_stream.write(lines)
        self.readable_count += lines.count(b"\n")
        self.row_bytes_upper_bound = max(self.row_bytes_upper_bound, len(lines))

    def write_unreadable_row(self, record: Record) -> None:
        """Write an unreadable row and its reason to ``unreadable_rows_file``, and count it."""
        text = record.raw_bytes.decode("utf-8", errors="backslashreplace")
        if len(text) > MAX_RAW_ROW_CHARACTERS:
            text = f"{text[:MAX_RAW_ROW_CHARACTERS]}... ({len(text):,} characters)"
        reason = record.unreadable_reason
        if reason.startswith(NOT_UTF_8):
            reason += "; if the whole file is in another encoding, say it: --encoding cp1252 (or latin-1, ...)"
        row = {"file": self.input_file_path, "line": record.first_line_number, "raw_row": text, "reason": reason}
        self.unreadable_rows_file.write(json.dumps(row) + "\n")
        self.unreadable_count += 1
        if len(self.unreadable_examples) < _EXAMPLES_KEPT:
            shown = text if len(text) <= 200 else text[:200] + "..."
            self.unreadable_examples.append(
                f"{self.input_file_path}, line {record.first_line_number:,}: {reason}\n    {shown}"
            )

    def require_few_unreadable(self, max_unreadable_share: float, header_line: str) -> None:
        """Raise an error if more than ``max_unreadable_share`` of the file's rows can't be read.

        Parameters
        ----------
        header_line : str
            The file's header for the error message; empty if it has none.

        Raises
        ------
        NextmartError
            The message names the first unreadable rows and what to do.
        """
        total = self.readable_count + self.unreadable_count
        if self.unreadable_count <= max_unreadable_share * total:
            return
        raise NextmartError(
            f"{self.input_file_path}: {self.unreadable_count:,} of {total:,} rows can't be read; "
            f"max_unreadable_share = {max_unreadable_share:g} allows {int(max_unreadable_share * total):,}. Nothing "
            "was loaded.\n"
            + (f"Its header: {header_line}\n" if header_line else "")
            + "".join(f"  {example}\n" for example in self.unreadable_examples)
            + "Mend those lines, name the delimiter (--delimiter) or the encoding (--encoding), or set "
            "max_unreadable_share in nextmart.toml, so that such rows are set aside in raw.unreadable_rows."
        )


def copy_readable_text(
    input_stream: BinaryIO, output_stream: BinaryIO, dialect: TextDialect, rows_writer: CheckedRowsWriter
) -> None:
    """Copy the readable rows of a delimited text without its header; each row of the copy ends with a line feed.

    Parameters
    ----------
    input_stream : binary stream
        The text from its beginning, in UTF-8.
    output_stream : binary stream
        The copy.
    """
    input_stream.read(dialect.byte_count_before_rows)
    newline = b"\r" if dialect.newline == b"\r" else b"\n"
    first_line = dialect.skipped_line_count + dialect.header_line_count + 1
    reader = RecordReader(_read_chunks(input_stream), dialect.delimiter, len(dialect.column_names), first_line, newline)
    for record in reader.records_and_readable_lines():
        if isinstance(record, ReadableLines):
            rows_writer.write_readable_lines(record.joined_lines, output_stream)
        elif record.unreadable_reason:
            rows_writer.write_unreadable_row(record)
        elif record.parsed_fields is not None:
            rows_writer.write_readable_row(quoted_line(record.parsed_fields, dialect.delimiter), output_stream)
        else:
            rows_writer.write_readable_row(record.raw_bytes + b"\n", output_stream)


def copy_readable_json_lines(input_stream: BinaryIO, output_stream: BinaryIO, rows_writer: CheckedRowsWriter) -> None:
    """Copy the lines of ``input_stream`` that are JSON objects to ``output_stream``; the others are unreadable."""
    for number, line in enumerate(input_stream, start=1):
        body = line.rstrip(b"\r\n").removeprefix(b"\xef\xbb\xbf" if number == 1 else b"")
        if not body.strip():
            continue
        reason = _json_fault(body)
        if reason:
            rows_writer.write_unreadable_row(Record(number, body, None, reason))
        else:
            rows_writer.write_readable_row(body + b"\n", output_stream)


def _json_fault(line_bytes: bytes) -> str:
    """Return why a line is no valid JSON object; an empty text if it is one."""
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


def _read_chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield a stream's bytes in chunks of ``_CHUNK_BYTES``."""
    while piece := stream.read(_CHUNK_BYTES):
        yield piece
