"""Lines of a text that comes in pieces, and runs of lines that are whole records at first sight.

Most lines of a file with a broken row are in order. A regular expression finds all of them up to the next line that
needs a closer look, and so the lines need no Python code each. Nothing here opens a file.
"""

import re
from collections.abc import Iterable, Iterator


class LineBuffer:
    """The lines of a text that comes in pieces of any size.

    Parameters
    ----------
    pieces : iterable of bytes
        The text.
    newline : bytes
        The one byte that ends a line.
    """

    def __init__(self, pieces: Iterable[bytes], newline: bytes = b"\n") -> None:
        self._pieces: Iterator[bytes] = iter(pieces)
        self._newline = newline
        self._text = b""
        self._position = 0
        self._mark: int | None = None

    def next_line(self) -> bytes | None:
        """Return the next line with its end, or None after the last one."""
        while (end := self._text.find(self._newline, self._position)) < 0:
            if not self._read():
                end = len(self._text) - 1
                break
        line = self._text[self._position : end + 1]
        self._position = end + 1
        return line or None

    def next_run(self, run: re.Pattern[bytes]) -> bytes:
        """Return the lines that ``run`` matches from the next line on, as far as the text has been read."""
        match = run.match(self._text, self._position)
        lines = match[0] if match else b""
        self._position += len(lines)
        return lines

    def step_back(self, size: int) -> None:
        """Go back by so many bytes of what was returned last."""
        self._position -= size

    def remember(self) -> None:
        """Remember the place before the next line."""
        self._mark = self._position

    def return_to_remembered(self) -> None:
        """Go back to the remembered place."""
        if self._mark is not None:
            self._position = self._mark

    def forget(self) -> None:
        """Forget the remembered place, so that the text before the next line need not be kept."""
        self._mark = None

    def _read(self) -> bool:
        """Read one more piece; tell whether there was one."""
        piece = next(self._pieces, None)
        if piece is None:
            return False
        kept = self._position if self._mark is None else self._mark
        self._text = self._text[kept:] + piece
        self._position -= kept
        self._mark = None if self._mark is None else 0
        return True


def run_pattern(delimiter: bytes, width: int, newline: bytes) -> re.Pattern[bytes]:
    """Return a pattern of consecutive lines that are records in which only whole fields have quotes.

    No field that the pattern matches holds a line end, and no line that it matches is blank.

    Parameters
    ----------
    width : int
        The number of fields of a record.
    newline : bytes
        The one byte that ends a line; before a line feed a carriage return may stand.
    """
    first, rest = re.escape(delimiter[:1]), re.escape(delimiter[1:])
    plain = rb'[^"\r\n' + first + rb"]*+"
    if rest:
        plain += rb"(?:" + first + rb"(?!" + rest + rb")" + plain + rb")*+"
    field = rb'(?:"[^"\r\n]*+(?:""[^"\r\n]*+)*+"|' + plain + rb")"
    fields = field + rb"(?:" + re.escape(delimiter) + field + rb"){" + str(width - 1).encode() + rb"}"
    not_blank = rb"(?![ \t\v\f]*+[\r\n])" if width > 1 and not delimiter.strip() else b""
    end = rb"\r" if newline == b"\r" else rb"\r?\n"
    return re.compile(rb"(?>" + not_blank + fields + end + rb")*+")


def utf_8_lines(lines: bytes, newline: bytes) -> bytes:
    """Return the lines before the first one that is not UTF-8."""
    try:
        lines.decode("utf-8")
    except UnicodeDecodeError as error:
        return lines[: lines.rfind(newline, 0, error.start) + 1]
    return lines
