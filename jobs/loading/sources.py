"""The classes of a source to load: its files or table, and its reading options."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jobs.errors import NextmartError, UsageError, nearest_name_hint

FORMATS: Final = ("csv", "tsv", "json", "parquet", "xlsx")
"""The formats that ``--format`` names. ``csv`` and ``tsv`` are text in lines; ``json`` also covers JSON lines."""

ALL_ATTRIBUTES: Final = ("*",)
"""The value of ``LoadSource.attributes`` for all unknown columns, even if rows repeat items or are events too."""

_DELIMITER_WORDS = {"\\t": "\t", "tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}


class NoRowsError(NextmartError):
    """A source has no rows: its files are empty or have only a header, or its condition keeps no row."""


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading files. The user gives those that a file's name and first lines don't show, or show wrongly.

    Attributes
    ----------
    format : str, optional
        One of ``FORMATS``; None: the ending of each file's name decides.
    encoding : str, optional
        The encoding of text files, as Python spells it; None: UTF-8.
    delimiter : str, optional
        The column delimiter of text files, one to four bytes; None: it is found in the header line.
    columns : tuple of str, optional
        The names of the columns of text files that have no header line; None: the first line is the header.
    max_unreadable_share : float
        The load stops if more than this share of a file's rows is unreadable.
    """

    format: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    columns: tuple[str, ...] | None = None
    max_unreadable_share: float = 0.01


@dataclass(frozen=True)
class LoadSource:
    """A source: the files, or an attached database's table, to load into one raw table.

    Attributes
    ----------
    table : str
        ``events``, ``items``, ``visitors`` or ``impressions``.
    path : str
        A path of a file or a folder, a glob, or the name of a table of an attached database.
    where_sql : str, optional
        SQL over the files' columns: only rows for which it is true are loaded.
    column_map : nextmart's column -> the files' column, or SQL over the files' columns
    read_options : ReadOptions
        How the files are read.
    time_formats : tuple of str
        Formats of DuckDB's ``strptime`` in which the files write ``event_at`` or ``updated_at``.
    allow_sql_io : bool
        Whether ``where_sql`` and ``column_map`` may read files and call functions that use the environment, settings or
        the log.
    attributes : tuple of str, optional
        The columns of the files that are kept as attributes of items or visitors. ``ALL_ATTRIBUTES`` stands for all
        columns that nextmart has no column for. None stands for these too, but for no columns if there is a preset, or
        if the rows repeat items or are loaded as events too.
    is_whole_catalogue : bool
        Whether the files belong to a list of the whole catalogue. An available item that the list lacks is withdrawn.
    is_superseded : bool
        Whether this source is a list of the whole catalogue, and a later source of the same load is a newer list.
    feed_name : str, optional
        The name of the feed of ``nextmart.toml`` that the files belong to; None if the command line names the files.
    preset_name : str, optional
        The name of a preset, whose map and condition are added when the files are read.
    json_columns : tuple of str
        Columns of JSON files that are read as JSON values, even if all values have one structure.
    """

    table: str
    path: str
    where_sql: str | None = None
    column_map: Mapping[str, str] = field(default_factory=dict)
    read_options: ReadOptions = field(default_factory=ReadOptions)
    time_formats: tuple[str, ...] = ()
    allow_sql_io: bool = False
    attributes: tuple[str, ...] | None = None
    is_whole_catalogue: bool = False
    is_superseded: bool = False
    feed_name: str | None = None
    preset_name: str | None = None
    json_columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoadRules:
    """Rules for all sources of one load.

    Attributes
    ----------
    dbt_vars : mapping
        Values of the dbt vars, by which dbt's staging will read the rows.
    max_withdrawn_share : float
        The largest share of the available items that may be withdrawn.
    """

    dbt_vars: Mapping[str, Any]
    max_withdrawn_share: float = 0.2


def parse_read_options(
    *,
    format_: str | None,
    encoding: str | None,
    delimiter: str | None,
    no_header: bool,
    columns: str | Sequence[str] | None,
    max_unreadable_share: float,
) -> ReadOptions:
    """Check the reading options that a user has given, and return them.

    Parameters
    ----------
    columns : str or sequence of str, optional
        The names of the files' columns, as one text with commas between them, or as texts.

    Raises
    ------
    UsageError
        If the format or the encoding is unknown; if the delimiter is empty, is longer than four bytes, or holds a quote
        or a line end; if only one of ``--no-header`` and ``--columns`` is given; or if a name in ``--columns`` is empty
        or repeated.
    """
    if format_ is not None and format_.lower() not in FORMATS:
        raise UsageError(f"--format {format_}: {nearest_name_hint(format_, FORMATS)}")
    if encoding is not None:
        try:
            "".encode(encoding)
        except LookupError as error:
            known = ("utf-8", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "cp1251", "shift_jis", "gb18030")
            raise UsageError(f"--encoding {encoding}: unknown; {nearest_name_hint(encoding, known)}") from error
    if delimiter is not None:
        delimiter = _DELIMITER_WORDS.get(delimiter.lower(), delimiter)
        if not 1 <= len(delimiter.encode()) <= 4 or set(delimiter) & set('"\r\n'):
            raise UsageError(f"--delimiter {delimiter!r}: give one to four characters, such as ';' or tab or '::'")
    listed = columns.split(",") if isinstance(columns, str) else columns
    names = tuple(name.strip() for name in listed) if listed else None
    if no_header != (names is not None):
        raise UsageError("a file without a header needs both options: --no-header --columns name,name,...")
    if names and (not all(names) or len({name.lower() for name in names}) < len(names)):
        raise UsageError(f"--columns {columns}: name each column once, also those that are not loaded")
    return ReadOptions(format_.lower() if format_ else None, encoding, delimiter, names, max_unreadable_share)
