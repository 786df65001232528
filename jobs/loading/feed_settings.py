"""Reads and checks the feeds of ``nextmart.toml``: each table ``[feeds.NAME]`` describes what is loaded, and how."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from jobs.errors import UsageError, nearest_name_hint
from jobs.loading.attributes import TABLES_WITH_ATTRIBUTES, parse_attributes
from jobs.loading.mapping import TABLE_COLUMNS
from jobs.loading.presets.all_presets import find_preset
from jobs.loading.sources import LoadSource, ReadOptions, parse_read_options

_NAME = re.compile(r"\w[\w.-]*")


class FeedSettings(BaseModel):
    """The keys of a table ``[feeds.NAME]`` of ``nextmart.toml``, which describes one feed."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    kind: str
    """What the rows are: `events`, `items`, `visitors` or `impressions`; unset: what the feed's name says, as in
    `[feeds.events]`."""
    files: str | list[str] = []
    """Files, folders (all files in them) or globs, which count from the folder of `nextmart.toml`. `${NAME}` stands for
    an environment variable."""
    table: str | None = None
    """A table or view of an attached database, such as `shop.public.clicks`, instead of `files`. Every load looks for
    its new rows."""
    preset: str | None = None
    """A well-known program that writes such files, such as `ga4`: the map and the condition for them are known."""
    map: dict[str, str] = {}
    """What stands in our columns, such as `{visitor_id = "client_id"}`: a column of the files, or an SQL expression
    over their columns."""
    where: str | None = None
    """Only rows are loaded for which this SQL expression over the files' columns is true."""
    complete: bool = False
    """Kind `items`: each file, or folder, that `files` matches lists the whole catalogue. An item that the last one by
    name lacks is withdrawn."""
    required: bool = False
    """Whether a load fails, and loads nothing of any feed, in which this feed has no new file with rows."""
    time_format: str | list[str] = []
    """Formats in which the files write times, such as `"%d/%m/%Y %H:%M"` (DuckDB's `strptime`)."""
    format: str | None = None
    """`csv`, `tsv`, `json`, `parquet` or `xlsx`; unset: the ending of each file says it."""
    encoding: str | None = None
    """Encoding of text files; unset: UTF-8."""
    delimiter: str | None = None
    """What stands between the columns of text files; unset: the header line says it."""
    columns: list[str] | None = None
    """Names of all columns of text files that have no header line."""
    attributes: str | list[str] | None = None
    """Kinds `items` and `visitors`: the columns that are kept as attributes, `"all"` or `"none"`; unset: all that
    nextmart doesn't know, unless the rows repeat items or are events too."""


@dataclass(frozen=True)
class Feed:
    """A feed of ``nextmart.toml`` whose settings have been checked.

    Attributes
    ----------
    name : str
    settings : FeedSettings
    read_options : ReadOptions
        How the feed's files are read.
    allow_sql_io : bool
        Whether the feed's SQL may read files and call functions that use the environment, settings or the log.
    """

    name: str
    settings: FeedSettings
    read_options: ReadOptions
    allow_sql_io: bool = False

    @property
    def attached_table(self) -> str:
        """The name of the table of an attached database that the feed reads; an empty text for a feed of files."""
        return self.settings.table or ""

    @property
    def file_patterns(self) -> list[str]:
        """The paths and globs of the feed's files, as the user wrote them."""
        return _as_list(self.settings.files)

    @property
    def definition(self) -> dict[str, Any]:
        """Key -> value of the settings by which rows are loaded; a file is loaded again if one of them changes.

        Keys with their default value are left out.
        """
        return self.settings.model_dump(exclude_defaults=True, exclude={"files", "complete", "required"})

    def as_source(self, path: str) -> LoadSource:
        """Return the source for one of the feed's files or for its attached table, with the feed's settings.

        Parameters
        ----------
        path : str
            The path of a file, or the name of a table.
        """
        return LoadSource(
            self.settings.kind,
            path,
            self.settings.where,
            self.settings.map,
            self.read_options,
            tuple(_as_list(self.settings.time_format)),
            self.allow_sql_io,
            attributes=parse_attributes(self.settings.attributes),
            is_whole_catalogue=self.settings.complete,
            feed_name=self.name,
            preset_name=self.settings.preset,
        )


def read_feeds(
    unchecked_settings_of_feed: Mapping[str, Mapping[str, Any]],
    max_unreadable_share: float,
    *,
    allow_sql_io: bool = False,
) -> list[Feed]:
    """Check the tables ``[feeds.NAME]`` of ``nextmart.toml``, and return the feeds in the order of the file.

    Parameters
    ----------
    unchecked_settings_of_feed : feed's name -> key -> value
    max_unreadable_share : float
        The load stops if more than this share of a file's rows is unreadable.
    allow_sql_io : bool
        Whether the feeds' SQL may read files.

    Raises
    ------
    UsageError
        If a feed has an unknown key or a wrong value, or two feeds have ``complete = true``. The message names the
        feed.
    """
    feeds = [
        _read_feed(name, settings, max_unreadable_share, allow_sql_io)
        for name, settings in unchecked_settings_of_feed.items()
    ]
    complete = [feed.name for feed in feeds if feed.settings.complete]
    if len(complete) > 1:
        raise UsageError(
            f"feeds {' and '.join(complete)}: complete = true in both, but only one feed can be the whole catalogue. "
            "Put the parts of a catalogue in one folder, and name the folder in the files of one feed."
        )
    return feeds


def select_feeds(feeds: Collection[Feed], feed_names: Collection[str]) -> list[Feed]:
    """Return the feeds that have the given names, or all feeds if no name is given, in the order of the settings.

    Raises
    ------
    UsageError
        If there is no feed with such a name.
    """
    known = [feed.name for feed in feeds]
    for name in feed_names:
        if name not in known:
            hint = nearest_name_hint(name, known) if known else "nextmart.toml has no [feeds.NAME]"
            raise UsageError(f"there is no feed '{name}': {hint} A file is loaded with --events FILE or --items FILE.")
    return [feed for feed in feeds if not feed_names or feed.name in feed_names]


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _read_feed(
    feed_name: str, unchecked_settings: Mapping[str, Any], max_unreadable_share: float, allow_sql_io: bool
) -> Feed:
    if not _NAME.fullmatch(feed_name):
        raise UsageError(
            f"feed {feed_name!r}: name a feed with letters, digits, '_', '-' and '.', as in [feeds.clicks]"
        )
    try:
        feed_settings = FeedSettings(
            **{**({"kind": feed_name} if feed_name in TABLE_COLUMNS else {}), **unchecked_settings}
        )
    except ValidationError as error:
        raise UsageError("\n".join(_validation_error_lines(feed_name, error))) from error
    try:
        _require_consistent_settings(feed_settings)
        options = parse_read_options(
            format_=feed_settings.format,
            encoding=feed_settings.encoding,
            delimiter=feed_settings.delimiter,
            no_header=feed_settings.columns is not None,
            columns=feed_settings.columns,
            max_unreadable_share=max_unreadable_share,
        )
    except UsageError as error:
        raise UsageError(f"feed {feed_name}: {error}") from error
    return Feed(feed_name, feed_settings, options, allow_sql_io)


def _validation_error_lines(feed_name: str, error: ValidationError) -> list[str]:
    """Return the errors in the keys of a feed, one line for each key."""
    lines = {}
    for problem in error.errors():
        key = str(problem["loc"][0])
        if problem["type"] == "extra_forbidden":
            lines[key] = f"unknown key '{key}': {nearest_name_hint(key, FeedSettings.model_fields)}"
        elif problem["type"] == "missing":
            lines[key] = f"the key '{key}' is missing, for example {key} = \"events\""
        elif key in lines:  # a key with several types has an error for each type; they are put on one line
            lines[key] += f", or {problem['msg'][0].lower()}{problem['msg'][1:]}"
        else:
            where = ".".join(str(part) for part in problem["loc"] if part not in ("str", "list[str]"))
            lines[key] = f"{where} = {problem['input']!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
    return [f"feed {feed_name}: {line}" for line in lines.values()]


def _require_consistent_settings(feed_settings: FeedSettings) -> None:
    """Raise an error if keys of a feed contradict one another, or name a kind, column or preset that doesn't exist."""
    columns = TABLE_COLUMNS.get(feed_settings.kind)
    if columns is None:
        raise UsageError(f"kind = '{feed_settings.kind}': {nearest_name_hint(feed_settings.kind, TABLE_COLUMNS)}")
    patterns = _as_list(feed_settings.files)
    if bool(patterns) == (feed_settings.table is not None) or not all(patterns):
        raise UsageError('say where the rows are: either files = "events/*.csv", or table = "shop.public.clicks"')
    for pattern in patterns:
        scheme, is_address, _ = pattern.partition("://")
        if is_address:
            raise UsageError(f"files: feeds read files of this machine, not {scheme}://…; copy the files here first")
    for column, text in feed_settings.map.items():
        if column not in columns:
            raise UsageError(
                f"map: nextmart has no column '{column}' of {feed_settings.kind}; {nearest_name_hint(column, columns)}"
            )
        if not text.strip():
            raise UsageError(f"map.{column} is empty: name a column of the files, or an SQL expression")
    if feed_settings.preset is not None and not find_preset(feed_settings.preset).layouts_of_table(feed_settings.kind):
        raise UsageError(f"the preset {feed_settings.preset} has no {feed_settings.kind}")
    if feed_settings.where is not None and not feed_settings.where.strip():
        raise UsageError("where is empty: write an SQL expression, or leave the key out")
    if parse_attributes(feed_settings.attributes) is not None and feed_settings.kind not in TABLES_WITH_ATTRIBUTES:
        raise UsageError(f"attributes: only items and visitors have attributes, not {feed_settings.kind}")
    if feed_settings.complete and feed_settings.kind != "items":
        raise UsageError(f"complete = true: only items can be a whole catalogue, not {feed_settings.kind}")
    if feed_settings.complete and (feed_settings.table or len(patterns) > 1):
        raise UsageError(
            "complete = true needs files with one path or glob. Each file that it matches is a whole catalogue; the "
            "parts of one catalogue lie in one folder, which files names."
        )
