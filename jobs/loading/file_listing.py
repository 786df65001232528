"""The files of a source: which files a path means, and the format and compression of each."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jobs.errors import NextmartError, UsageError
from jobs.loading.sources import SourceFiles
from jobs.warehouse.connection import Connection

TEXT: Final = "text"
JSON: Final = "json"
JSON_LINES: Final = "jsonl"
PARQUET: Final = "parquet"
XLSX: Final = "xlsx"
KIND_OF_ENDING: Final = {
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
NOT_READ: Final = (".xml", ".rss", ".atom", ".xls", ".ods", ".html", ".avro", ".orc", ".sav", ".pkl", ".7z", ".rar")
"""Endings of formats that people export and nextmart doesn't read."""
_KIND_OF_FORMAT = {"csv": TEXT, "tsv": TEXT, "json": JSON, "parquet": PARQUET, "xlsx": XLSX}


@dataclass(frozen=True)
class FoundFile:
    """A file to load.

    Attributes
    ----------
    path : str
        Its path.
    kind : str
        ``TEXT``, ``JSON``, ``JSON_LINES``, ``PARQUET`` or ``XLSX``.
    compression : str
        One of ``COMPRESSIONS``, or empty.
    """

    path: str
    kind: str
    compression: str


def found_files(connection: Connection, source: SourceFiles) -> list[FoundFile]:
    """Return the files that a source's path means: one file, the files of a folder, or those that match a glob.

    Raises
    ------
    UsageError
        If the ending of a file is unknown, or the files have several formats.
    NextmartError
        If there is no file.
    """
    paths = paths_of(connection, source.path)
    if not paths:
        known = _kind(source.path, None) not in (None, XLSX)
        error_type = NextmartError if known else UsageError
        raise error_type(
            f"No files found for {source.path}; nothing was loaded. "
            f"The known endings are {', '.join(KIND_OF_ENDING)}, also with {', '.join(COMPRESSIONS)} behind them"
        )
    files = []
    for path in paths:
        kind = _kind(path, source.options.format)
        if kind is None and Path(path).suffix.lower() in NOT_READ:
            raise UsageError(
                f"{path}: {Path(path).suffix} files are not read. Export or convert the rows to CSV, JSON lines or "
                "Parquet; Google's Merchant Center and most shops write a product feed as TSV too. Nothing was loaded"
            )
        if kind is None:
            raise UsageError(
                f"{path}: can't tell its format from its ending; the known endings are {', '.join(KIND_OF_ENDING)}. "
                "Say the format: --format csv, tsv, json, parquet or xlsx. Nothing was loaded"
            )
        files.append(FoundFile(path, kind, _compression(path)))
    kinds = {file.kind for file in files}
    if len(kinds) > 1:
        examples = ", ".join(next(file.path for file in files if file.kind == kind) for kind in sorted(kinds))
        raise UsageError(
            f"{source.path} has files of several formats, such as {examples}; name those of one format, "
            "for example with *.csv. Nothing was loaded"
        )
    return files


def paths_of(connection: Connection, path: str) -> list[str]:
    """Return the paths of the files that a path of a file or a folder, or a glob, means: in order, without hidden ones.

    A folder's files are those in its folders too. Hidden files are left out of folders alone.
    """
    if Path(path).is_dir():
        inside = (file for file in Path(path).rglob("*") if file.is_file())
        return sorted(str(file) for file in inside if not is_hidden(file.relative_to(path).parts))
    if Path(path).is_file():
        return [path]
    return sorted(row[0] for row in connection.execute("select file from glob(?)", [path]).fetchall())


def is_hidden(names: Iterable[str]) -> bool:
    """Tell whether a path's part is hidden, or is a marker of a tool, such as ``_SUCCESS``."""
    return any(name.startswith((".", "_")) for name in names)


def _compression(path: str) -> str:
    ending = Path(path).suffix.lower()
    return ending if ending in COMPRESSIONS else ""


def known_ending(path: str) -> str:
    """Return the ending of a file's name in lower case, with that of its compression; empty if it is unknown."""
    compression = _compression(path)
    ending = Path(path.lower().removesuffix(compression)).suffix
    return ending + compression if ending in KIND_OF_ENDING else ""


def _kind(path: str, format_: str | None) -> str | None:
    """Return the kind of a file by ``--format`` or by the ending of its name; None if neither says it."""
    by_ending = KIND_OF_ENDING.get(known_ending(path).removesuffix(_compression(path)))
    if format_ is None:
        return by_ending
    return JSON_LINES if format_ == "json" and by_ending == JSON_LINES else _KIND_OF_FORMAT[format_]
