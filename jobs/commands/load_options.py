"""The options of `nextmart load`: their types and help texts, and the sources that a command line names."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from jobs.errors import UsageError
from jobs.loading.attributes import parse_attributes
from jobs.loading.feed_settings import Feed, read_feeds, select_feeds
from jobs.loading.mapping import parse_maps
from jobs.loading.presets.all_presets import find_preset
from jobs.loading.sources import LoadSource, parse_read_options
from jobs.settings import Settings

Feeds = Annotated[
    list[str] | None,
    typer.Argument(help="Feeds of nextmart.toml, [feeds.NAME]; all of them if no files are named.", show_default=False),
]
Events = Annotated[
    list[str] | None,
    typer.Option(help="CSV and other text, JSON, Parquet, Excel; folders and globs too. May be given many times."),
]
Items = Annotated[list[str] | None, typer.Option(help="The same, for the catalogue.")]
Visitors = Annotated[
    list[str] | None, typer.Option(help="The same, for what you know of visitors, such as their country.")
]
Impressions = Annotated[list[str] | None, typer.Option(help="The same, for what visitors were shown.")]
Maps = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        help="our_column=their_column, or =an SQL expression over theirs; "
        "prefix events., items., visitors. or impressions. where several files are given.",
    ),
]
PresetName = Annotated[
    str | None, typer.Option(help="How a well-known program writes its files, in place of --map: ga4, segment, ...")
]
WhereEvents = Annotated[str | None, typer.Option(help="Load only events for which this SQL is true.")]
WhereItems = Annotated[str | None, typer.Option(help="Load only items for which this SQL is true.")]
WhereVisitors = Annotated[str | None, typer.Option(help="Load only visitors for which this SQL is true.")]
WhereImpressions = Annotated[str | None, typer.Option(help="Load only impressions for which this SQL is true.")]
KeptAttributes = Annotated[
    str | None,
    typer.Option(
        "--attributes",
        help="Columns kept as attributes of items and visitors: names with commas between, all or none.",
    ),
]
Format = Annotated[
    str | None, typer.Option("--format", help="csv, tsv, json, parquet or xlsx, where the ending does not say it.")
]
Encoding = Annotated[str | None, typer.Option(help="Encoding of text files, if not UTF-8: cp1252, utf-16.")]
Delimiter = Annotated[
    str | None, typer.Option(help="What stands between columns, if the header line does not say it: ';', tab.")
]
NoHeader = Annotated[bool, typer.Option("--no-header", help="The first line is a row: name the --columns.")]
Columns = Annotated[
    str | None, typer.Option(help="Names of all columns of a file without a header, with commas between them.")
]
TimeFormats = Annotated[
    list[str] | None,
    typer.Option(help="Format of event_at, updated_at and shown_at, such as '%d/%m/%Y %H:%M' (DuckDB's strptime)."),
]
Complete = Annotated[
    bool, typer.Option("--complete", help="The items are the whole catalogue: withdraw those that are missing.")
]
AllowMassWithdrawal = Annotated[
    bool, typer.Option("--allow-mass-withdrawal", help="Withdraw more items than max_withdrawn_share allows.")
]
AllowSqlIo = Annotated[
    bool, typer.Option("--allow-sql-io", help="Let the SQL of --map and --where, or of feeds, read files.")
]
Check = Annotated[
    bool, typer.Option("--check", help="Load nothing: only say what the files hold, and what of it can be used.")
]


def chosen_sources(
    settings: Settings,
    feed_names: Sequence[str],
    paths_by_table: Mapping[str, Sequence[str]],
    file_options: Mapping[str, Any],
    allow_sql_io: bool,
) -> list[LoadSource] | list[Feed]:
    """Return the sources that a command line names: files, or else feeds of ``nextmart.toml``.

    Parameters
    ----------
    feed_names : sequence of str
        Names of feeds; if no feed and no file is named, all feeds are loaded.
    paths_by_table : table -> paths of files, folders and globs
        In the order in which the tables are loaded.
    file_options : option of the command line -> its value
        The reading options of the command line; None, False or an empty list for an absent option.
    allow_sql_io : bool
        Whether users' SQL may read files.

    Raises
    ------
    UsageError
        If a feed is unknown or wrong, an option is wrong, or options contradict one another.
    """
    options = {f"--{table}": paths for table, paths in paths_by_table.items()} | {**file_options}
    given = [name for name, value in options.items() if value]
    if feed_names and given:
        raise UsageError(
            f"{', '.join(given)} can't be combined with names of feeds ({', '.join(feed_names)}). Write how a feed is "
            f"read into nextmart.toml, below [feeds.{feed_names[0]}]; or load files alone: nextmart load --events FILE"
        )
    if any(paths_by_table.values()):
        return _sources_of_files(paths_by_table, file_options, allow_sql_io, settings.max_unreadable_share)
    if given:
        raise UsageError(
            f"{', '.join(given)} says how files are read: add --events FILE or --items FILE. How a feed is read stands "
            "in nextmart.toml, below [feeds.NAME]"
        )
    feeds = read_feeds(settings.feeds, settings.max_unreadable_share, allow_sql_io=allow_sql_io)
    if not feeds and not feed_names:
        raise UsageError(
            "say what to load: --events FILE, --items FILE, or both; or describe feeds in nextmart.toml, "
            "[feeds.NAME], which nextmart init FILE writes for you. --visitors FILE loads what you know of visitors, "
            "--impressions FILE what they were shown"
        )
    return select_feeds(feeds, feed_names)


def _sources_of_files(
    paths_by_table: Mapping[str, Sequence[str]],
    file_options: Mapping[str, Any],
    allow_sql_io: bool,
    max_unreadable_share: float,
) -> list[LoadSource]:
    """Return the sources for the files that a command line names, table by table.

    Raises
    ------
    UsageError
        If an option is wrong.
    """
    column_maps = parse_maps(file_options["--map"] or [])
    options = parse_read_options(
        format_=file_options["--format"],
        encoding=file_options["--encoding"],
        delimiter=file_options["--delimiter"],
        no_header=file_options["--no-header"],
        columns=file_options["--columns"],
        max_unreadable_share=max_unreadable_share,
    )
    if file_options["--preset"]:
        find_preset(file_options["--preset"])  # find_preset() raises an error if no preset has the name
    complete = file_options["--complete"]
    attributes = parse_attributes(file_options["--attributes"])
    if attributes is not None and not (paths_by_table["items"] or paths_by_table["visitors"]):
        raise UsageError("--attributes names columns of --items or --visitors: give such a file")
    if complete and not paths_by_table["items"]:
        raise UsageError("--complete says that the items are the whole catalogue: give them, --items FILE")
    if options.columns and len({path for paths in paths_by_table.values() for path in paths}) > 1:
        raise UsageError("--columns names the columns of one file: load the files of each table one after the other")
    return [
        LoadSource(
            table,
            path,
            file_options[f"--where-{table}"],
            column_maps.get(table, {}),
            options,
            tuple(file_options["--time-format"] or ()),
            allow_sql_io,
            attributes=attributes,
            is_whole_catalogue=complete and table == "items",
            preset_name=file_options["--preset"],
        )
        for table, paths in paths_by_table.items()
        for path in paths
    ]
