"""Finds runs of lines that are whole records with one regular expression, for speed.

Even in a file with broken rows, most lines are whole records. The expression matches them up to the next line that must
be parsed, so that no Python code runs for each line. The module opens no file.
"""

import re
from collections.abc import Iterable, Iterator


class LineBuffer:
    """Buffers a text that comes in pieces of any size, and returns its lines.

    Parameters
    ----------
    text_pieces : iterable of bytes
        The text.
    newline : bytes
        The one byte that ends a line.
    """

    def __init__(self, text_pieces: Iterable[bytes], newline: bytes = b"\n") -> None:
        self._text_pieces: Iterator[bytes] = iter(text_pieces)
        self._newline = newline
        self._text = b""
        self._position = 0
        self._mark: int | None = None

    def next_line(self) -> bytes | None:
        """Return the next line with its end, or None after the last one."""
        while (end := self._text.find(self._newline, self._position)) < 0:
            if not self._read_piece():
                end = len(self._text) - 1
                break
        line = self._text[self._position : end + 1]
        self._position = end + 1
        return line or None

    def next_line_run(self, line_run_pattern: re.Pattern[bytes]) -> bytes:
        """Return the run of lines, from the next line on, that a pattern matches in the buffered text."""
        match = line_run_pattern.match(self._text, self._position)
        lines = match[0] if match else b""
        self._position += len(lines)
        return lines

    def step_back(self, byte_count: int) -> None:
        """Go back ``byte_count`` bytes, so that the end of the last returned text is returned again."""
        self._position -= byte_count

    def remember_position(self) -> None:
        """Remember the position before the next line, for ``return_to_remembered_position``."""
        self._mark = self._position

    def return_to_remembered_position(self) -> None:
        """Go back to the remembered position."""
        if self._mark is not None:
            self._position = self._mark

    def forget_position(self) -> None:
        """Forget the remembered position, so that the text before the next line can be dropped."""
        self._mark = None

    def _read_piece(self) -> bool:
        """Read one more piece into the buffer; return False if there is none."""
        piece = next(self._text_pieces, None)
        if piece is None:
            return False
        kept = self._position if self._mark is None else self._mark
        self._text = self._text[kept:] + piece
        self._position -= kept
        self._mark = None if self._mark is None else 0
        return True


def line_run_pattern(delimiter: bytes, field_count: int, newline: bytes) -> re.Pattern[bytes]:
    """Return a regular expression that matches a run of lines, each a record in which only whole fields are quoted.

    No field that the pattern matches holds a line end, and no line that it matches is blank.

    Parameters
    ----------
    field_count : int
        The number of fields of a record.
    newline : bytes
        The one byte that ends a line; before a line feed a carriage return may stand.
    """
    first, rest = re.escape(delimiter[:1]), re.escape(delimiter[1:])
    plain = rb'[^"\r\n' + first + rb"]*+"
    if rest:
        plain += rb"(?:" + first + rb"(?!" + rest + rb")" + plain + rb")*+"
    field = rb'(?:"[^"\r\n]*+(?:""[^"\r\n]*+)*+"|' + plain + rb")"
    fields = field + rb"(?:" + re.escape(delimiter) + field + rb"){" + str(field_count - 1).encode() + rb"}"
    not_blank = rb"(?![ \t\v\f]*+[\r\n])" if field_count > 1 and not delimiter.strip() else b""
    end = rb"\r" if newline == b"\r" else rb"\r?\n"
    return re.compile(rb"(?>" + not_blank + fields + end + rb")*+")


def leading_utf_8_lines(lines: bytes, newline: bytes) -> bytes:
    """Return the lines before the first line that is not UTF-8."""
    try:
        lines.decode("utf-8")
    except UnicodeDecodeError as error:
        return lines[: lines.rfind(newline, 0, error.start) + 1]
    return lines
