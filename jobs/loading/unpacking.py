"""Opens compressed files, and converts archives, workbooks and other encodings to plain files in UTF-8."""

import bz2
import codecs
import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from jobs.errors import NextmartError, UsageError
from jobs.loading.file_listing import InputFile
from jobs.loading.text_dialects import HEAD_BYTES

_CHUNK_BYTES = 1 << 20


@contextmanager
def open_bytes(path: str, compression: str) -> Iterator[BinaryIO]:
    """Open a file for reading its decompressed bytes.

    Raises
    ------
    NextmartError
        If the file can't be read, here or in the ``with`` block, or an archive does not hold exactly one file.
    """
    try:
        with _open_decompressed(path, compression) as stream:
            yield stream
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, pa.ArrowException) as error:
        raise NextmartError(f"can't read {path}: {error}. Nothing was loaded.") from error


@contextmanager
def _open_decompressed(path: str, compression: str) -> Iterator[BinaryIO]:
    if compression == ".gz":
        with gzip.open(path) as unzipped:
            yield cast(BinaryIO, unzipped)
    elif compression == ".bz2":
        with bz2.open(path) as unzipped_bz2:
            yield cast(BinaryIO, unzipped_bz2)
    elif compression == ".zst":
        with pa.input_stream(path, compression="zstd") as native:
            yield cast(BinaryIO, io.BufferedReader(native, _CHUNK_BYTES))
    elif compression == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = [
                entry.filename
                for entry in archive.infolist()
                if not entry.is_dir() and not entry.filename.startswith("__MACOSX/")
            ]
            if len(names) != 1:
                raise NextmartError(
                    f"{path} holds {len(names)} files; a .zip may hold one. Unpack it, and load the folder. "
                    "Nothing was loaded."
                )
            with archive.open(names[0]) as entry_stream:
                yield cast(BinaryIO, entry_stream)
    else:
        with Path(path).open("rb") as plain:
            yield plain


def read_first_bytes(path: str, compression: str) -> bytes:
    """Return the first ``HEAD_BYTES`` decompressed bytes of a file, which show its encoding, delimiter and header."""
    with open_bytes(path, compression) as stream:
        return stream.read(HEAD_BYTES)


def unpack(file: InputFile, target_path: Path) -> None:
    """Write a file's decompressed content to another file."""
    with open_bytes(file.path, file.compression) as stream, target_path.open("wb") as output:
        while chunk := stream.read(_CHUNK_BYTES):
            output.write(chunk)


def transcode_to_utf_8(file: InputFile, encoding: str, target_path: Path) -> None:
    """Write a file's decompressed text to another file in UTF-8 without a byte order mark.

    Raises
    ------
    NextmartError
        If the file has bytes that are not text in that encoding; the message names the line.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    with open_bytes(file.path, file.compression) as stream, target_path.open("wb") as output:
        is_first = True
        while True:
            chunk = stream.read(_CHUNK_BYTES)
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                line += error.object[: error.start].decode(encoding, errors="replace").count("\n")
                raise NextmartError(
                    f"{file.path}, line {line}: byte 0x{error.object[error.start]:02x} is no text in {encoding} "
                    f"({error.reason}). Name the file's encoding: --encoding NAME. Nothing was loaded."
                ) from error
            if is_first and text:
                text, is_first = text.removeprefix("\ufeff"), False
            line += text.count("\n")
            output.write(text.encode("utf-8", errors="replace"))
            if not chunk:
                return


def workbook_to_csv(file: InputFile, target_path: Path) -> None:
    """Write the only sheet with rows of an Excel workbook as CSV: whole numbers without a point, dates in ISO 8601.

    Raises
    ------
    UsageError
        If the extra ``excel`` is not installed, or several sheets hold rows.
    NextmartError
        If the file is no workbook.
    """
    try:
        import python_calamine
    except ImportError as error:
        raise UsageError(
            f"{file.path}: Excel files need another package: pip install 'nextmart[excel]'; "
            "or save the sheet as CSV. Nothing was loaded."
        ) from error
    try:
        workbook = python_calamine.load_workbook(file.path)
        sheets = {name: workbook.get_sheet_by_name(name).to_python() for name in workbook.sheet_names}
    except (python_calamine.CalamineError, OSError) as error:
        raise NextmartError(f"can't read {file.path}: {error}. Nothing was loaded.") from error
    filled = {name: rows for name, rows in sheets.items() if rows}
    if len(filled) > 1:
        raise UsageError(
            f"{file.path} has rows in several sheets: {', '.join(filled)}. Save the one to load as a file of its own. "
            "Nothing was loaded."
        )
    with target_path.open("w", encoding="utf-8", newline="") as output:
        writer = csv.writer(output, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
        for rows in filled.values():
            writer.writerows([_cell_text(value) for value in row] for row in rows)


def _cell_text(value: Any) -> str:
    """Return the text of a workbook's cell, as the CSV gets it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return str(value)
