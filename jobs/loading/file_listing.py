"""Finds the files that a source's path matches, with each file's format and compression."""

import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jobs.errors import NextmartError, UsageError
from jobs.loading.sources import LoadSource
from jobs.warehouse.connection import Connection

TEXT: Final = "text"
JSON: Final = "json"
JSON_LINES: Final = "jsonl"
PARQUET: Final = "parquet"
XLSX: Final = "xlsx"
FORMAT_OF_ENDING: Final = {
    ".csv": TEXT,
    ".tsv": TEXT,
    ".txt": TEXT,
    ".dat": TEXT,
    ".log": TEXT,
    ".inter": TEXT,
    ".item": TEXT,
    ".user": TEXT,
    ".data": TEXT,
    ".parquet": PARQUET,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".json": JSON,
    ".xlsx": XLSX,
}
COMPRESSIONS: Final = (".gz", ".zst", ".bz2", ".zip")
UNSUPPORTED_ENDINGS: Final = (
    ".xml",
    ".rss",
    ".atom",
    ".xls",
    ".ods",
    ".html",
    ".avro",
    ".orc",
    ".sav",
    ".pkl",
    ".7z",
    ".rar",
)
"""File name endings of common formats that nextmart can't read."""
_FORMAT_OF_OPTION = {"csv": TEXT, "tsv": TEXT, "json": JSON, "parquet": PARQUET, "xlsx": XLSX}


@dataclass(frozen=True)
class InputFile:
    """A file to load.

    Attributes
    ----------
    path : str
        The file's path.
    file_format : str
        The file's format: ``TEXT``, ``JSON``, ``JSON_LINES``, ``PARQUET`` or ``XLSX``.
    compression : str
        The ending of a compressed file, one of ``COMPRESSIONS``; else empty.
    """

    path: str
    file_format: str
    compression: str


def find_source_files(connection: Connection, source: LoadSource) -> list[InputFile]:
    """Return the files that a source's path matches: one file, all files of a folder, or the matches of a glob.

    Raises
    ------
    UsageError
        If the ending of a file is unknown, or the files have several formats.
    NextmartError
        If there is no file.
    """
    paths = find_file_paths(connection, source.path)
    if not paths:
        known = _format_of_file(source.path, None) not in (None, XLSX)
        error_type = NextmartError if known else UsageError
        raise error_type(
            f"No files found for {source.path}; nothing was loaded. "
            f"The known endings are {', '.join(FORMAT_OF_ENDING)}, also with {', '.join(COMPRESSIONS)} behind them"
        )
    files = []
    for path in paths:
        file_format = _format_of_file(path, source.read_options.format)
        if file_format is None and Path(path).suffix.lower() in UNSUPPORTED_ENDINGS:
            raise UsageError(
                f"{path}: {Path(path).suffix} files are not read. Export or convert the rows to CSV, JSON lines or "
                "Parquet; Google's Merchant Center and most shops write a product feed as TSV too. Nothing was loaded"
            )
        if file_format is None:
            raise UsageError(
                f"{path}: can't tell its format from its ending; the known endings are {', '.join(FORMAT_OF_ENDING)}. "
                "Say the format: --format csv, tsv, json, parquet or xlsx. Nothing was loaded"
            )
        files.append(InputFile(path, file_format, _compression_ending(path)))
    formats = {file.file_format for file in files}
    if len(formats) > 1:
        examples = ", ".join(next(file.path for file in files if file.file_format == each) for each in sorted(formats))
        raise UsageError(
            f"{source.path} has files of several formats, such as {examples}; name those of one format, "
            "for example with *.csv. Nothing was loaded"
        )
    return files


def find_file_paths(connection: Connection, path: str) -> list[str]:
    """Return the sorted paths of the files that a path means: one file, all files in a folder, or a glob's matches.

    Hidden files in a folder are left out, as ``find_paths_inside`` says; a glob may match hidden files.

    Raises
    ------
    NextmartError
        If a folder can't be read.
    """
    if Path(path).is_dir():
        try:
            return sorted(find_paths_inside(path))
        except OSError as error:
            raise NextmartError(f"can't look into {error.filename}: {error.strerror}. Nothing was loaded.") from error
    if Path(path).is_file():
        return [path]
    return sorted(row[0] for row in connection.execute("select file from glob(?)", [path]).fetchall())


def find_paths_inside(folder: str) -> list[str]:
    """Return the paths of the files in a folder and in its subfolders, without those for which ``is_hidden`` is true.

    Links to files and folders are followed, and each folder is read once. If several paths lead to a folder, its files
    are returned under the path with the fewest links.

    Raises
    ------
    OSError
        If a folder can't be read.
    """
    files, seen = [], set()
    folders, links = [folder], deque[str]()
    while folders or links:
        current = folders.pop() if folders else links.popleft()
        real = os.path.realpath(current)
        if real in seen:
            continue
        seen.add(real)
        with os.scandir(current) as found:
            entries = sorted((entry for entry in found if not is_hidden(entry.name)), key=lambda entry: entry.name)
        for entry in entries:
            if entry.is_dir():
                (links if entry.is_symlink() else folders).append(entry.path)
            elif entry.is_file():
                files.append(str(Path(entry.path)))  # Path removes a leading ./
    return files


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder is hidden by its name, or is a marker that a tool writes, such as ``_SUCCESS``."""
    return name.startswith((".", "_"))


def _compression_ending(path: str) -> str:
    ending = Path(path).suffix.lower()
    return ending if ending in COMPRESSIONS else ""


def known_ending(path: str) -> str:
    """Return a file name's ending, such as ``.csv.gz``, in lower case; an empty text if nextmart doesn't know it."""
    compression = _compression_ending(path)
    ending = Path(path.lower().removesuffix(compression)).suffix
    return ending + compression if ending in FORMAT_OF_ENDING else ""


def _format_of_file(path: str, format_option: str | None) -> str | None:
    """Return a file's format, such as ``TEXT``, by the option ``--format`` or else by its ending; None if unknown."""
    by_ending = FORMAT_OF_ENDING.get(known_ending(path).removesuffix(_compression_ending(path)))
    if format_option is None:
        return by_ending
    return JSON_LINES if format_option == "json" and by_ending == JSON_LINES else _FORMAT_OF_OPTION[format_option]
