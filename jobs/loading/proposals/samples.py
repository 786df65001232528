"""What is seen in the first rows of files: their form, their columns and their values. Nothing is concluded here."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jobs.errors import NextmartError
from jobs.loading.file_listing import TEXT, FoundFile, found_files
from jobs.loading.preset_sources import layout_of_first_line
from jobs.loading.presets.catalogue import PRESETS
from jobs.loading.presets.layout import Layout, Preset
from jobs.loading.proposals.common_names import ALL_NAMES, EVENT_NAMES, ITEM_COLUMN_NAMES, named_columns
from jobs.loading.readable_rows import with_readable_rows
from jobs.loading.relations import FileRelation
from jobs.loading.sources import ReadOptions, SourceFiles
from jobs.loading.staging_rules import staging_rules
from jobs.loading.text_heads import has_no_header, likely_encoding, lines_after_header, text_head
from jobs.loading.time_formats import UnreadTimes, find_unread_times
from jobs.loading.unpacking import first_bytes
from jobs.warehouse.connection import Connection, count_rows, quoted

SAMPLE_ROWS = 100_000
"""So many rows of a file are looked at, the first ones."""
UNNAMED_TIME_ROWS = 2_000
"""So many rows are looked at for times in columns whose names don't say that they are times."""
_EXAMPLE_LENGTH = 40


@dataclass(frozen=True)
class ColumnFacts:
    """What a column holds in the rows that were looked at.

    Attributes
    ----------
    given, different : int
        The numbers of values, and of different values; blanks and null words are none.
    example : str
        One of the values, shortened.
    negative : int
        The number of values that are numbers below 0.
    """

    given: int
    different: int
    example: str
    negative: int


@dataclass(frozen=True)
class TimeFacts:
    """How the values of a column are read as times.

    Attributes
    ----------
    given, read : int
        The numbers of values, and of those that the next build would read as a time that it accepts.
    example, instant : str, optional
        One value, and its reading in UTC.
    unread : UnreadTimes, optional
        The values that can't be read for certain.
    """

    given: int
    read: int
    example: str | None
    instant: str | None
    unread: UnreadTimes | None


@dataclass(frozen=True)
class Sample:
    """The first rows of files of one kind.

    Attributes
    ----------
    files : tuple of str
        The paths or globs of the files.
    path : str
        The file whose rows were looked at.
    relation : str
        The temporary table with the rows.
    rows : int
    is_whole : bool
        Whether these are all rows of the file.
    types : column -> DuckDB type
    options : ReadOptions
        How the file is read.
    first_line : str
        The first line of a text file.
    has_header : bool
        Whether the file's first line names its columns; if not, ``columns`` have made-up names.
    remarks : tuple of str
        What else was seen.
    columns : column -> ColumnFacts
        Empty until ``with_facts`` has looked at the values.
    times : column -> TimeFacts
        The columns that are named like times; if none is, those whose values are times. Empty until ``with_facts`` has
        looked at the values.
    """

    files: tuple[str, ...]
    path: str
    relation: str
    rows: int
    is_whole: bool
    types: Mapping[str, str]
    options: ReadOptions
    first_line: str = ""
    has_header: bool = True
    remarks: tuple[str, ...] = ()
    columns: Mapping[str, ColumnFacts] = field(default_factory=dict)
    times: Mapping[str, TimeFacts] = field(default_factory=dict)

    @property
    def layouts(self) -> list[tuple[Preset, Layout]]:
        """The layouts of presets that the file has, by its columns or, without a header, by its first line."""
        pairs = [(preset, layout) for preset in PRESETS.values() for layout in preset.layouts]
        if not self.has_header:
            return [pair for pair in pairs if layout_of_first_line([pair[1]], self.first_line)]
        return [pair for pair in pairs if not pair[1].first_line and not pair[1].missing(self.types)]


def take_sample(connection: Connection, files: tuple[str, ...], path: str, relation: str) -> Sample:
    """Return the first rows of a file, and how it is read.

    Parameters
    ----------
    files : tuple of str
        The paths or globs of all files of its kind.
    relation : str
        The name of the temporary table that is made.

    Raises
    ------
    NextmartError
        If the file can't be read, or holds no rows.
    """
    source = SourceFiles("events", path, column_map={name: name for name in ALL_NAMES})
    file = found_files(connection, source)[0]
    form = _text_form(file) if file.kind == TEXT else _Form(ReadOptions())
    source = replace(source, options=form.options)
    types, remarks = _copy_rows(connection, source, relation)
    rows = count_rows(connection, relation)
    if not rows:
        raise NextmartError(f"{path} holds no rows")
    is_whole = rows <= SAMPLE_ROWS
    if not is_whole:
        connection.execute(f"create or replace temp table {relation} as from {relation} limit {SAMPLE_ROWS}")
        rows = SAMPLE_ROWS
    return Sample(
        files,
        path,
        relation,
        rows,
        is_whole,
        types,
        form.options,
        form.first_line,
        form.has_header,
        (*form.remarks, *remarks),
    )


def with_facts(connection: Connection, sample: Sample, variables: Mapping[str, Any]) -> Sample:
    """Return a sample with what is seen in the values of its columns.

    Parameters
    ----------
    variables : mapping
        Values of the dbt vars.
    """
    columns = _column_facts(connection, sample.relation, sample.types, variables)
    return replace(sample, columns=columns, times=_times(connection, sample.relation, sample.types, variables))


def values_per_item(connection: Connection, sample: Sample, item: str, column: str) -> float:
    """Return how many different values of a column an item has on average; 0 if there are none."""
    pairs = f"select distinct {quoted(item)} as item, {quoted(column)} as value from {sample.relation}"
    row = connection.execute(
        f"select count(*) / nullif(count(distinct item), 0) from ({pairs}) where item is not null and value is not null"
    ).fetchall()[0]
    return float(row[0] or 0)


@dataclass(frozen=True)
class _Form:
    """How a file is read, and why."""

    options: ReadOptions
    first_line: str = ""
    has_header: bool = True
    remarks: tuple[str, ...] = ()


def _text_form(file: FoundFile) -> _Form:
    """Return how a text file is to be read, by its first bytes."""
    beginning = first_bytes(file.path, file.compression)
    encoding = likely_encoding(beginning)
    remarks: tuple[str, ...] = ()
    if encoding:
        text = beginning.decode(encoding, errors="replace")
        remarks = (f"The file is not UTF-8. Read as {encoding}, it says{_foreign_words(text)}",)
        beginning = text.removeprefix("\ufeff").encode()
    head = text_head(beginning, None, None)
    if head is None:
        raise NextmartError(f"{file.path} is empty")
    layouts = [layout for preset in PRESETS.values() for layout in preset.layouts]
    layout = layout_of_first_line(layouts, head.first_line)
    if not layout and not has_no_header(head, lines_after_header(beginning, head), ALL_NAMES):
        return _Form(ReadOptions(encoding=encoding), head.first_line, remarks=remarks)
    if layout:
        options = replace(layout.options, encoding=layout.options.encoding or encoding)
    else:
        columns = tuple(f"column{number}" for number in range(1, len(head.columns) + 1))
        options = ReadOptions(encoding=encoding, delimiter=head.delimiter, columns=columns)
    return _Form(options, head.first_line, has_header=False, remarks=remarks)


def _foreign_words(text: str) -> str:
    """Return the first words of a text that are not ASCII, for the reader to judge an encoding by."""
    words = [word for line in text.splitlines() for word in line.split() if not word.isascii()][:3]
    return " " + ", ".join(f"'{word[:_EXAMPLE_LENGTH]}'" for word in words) if words else " nothing unusual"


def _copy_rows(connection: Connection, source: SourceFiles, relation: str) -> tuple[dict[str, str], list[str]]:
    """Copy a file's first rows to a temporary table; return the types of its columns, and remarks."""

    def copy(_: SourceFiles, files: FileRelation) -> tuple[dict[str, str], list[str]]:
        # one row more than is kept shows that there are more
        connection.execute(f"create or replace temp table {relation} as from {files.sql} limit {SAMPLE_ROWS + 1}")
        few = files.examples[:1]
        return files.types, [f"{files.unreadable_count:,} rows can't be read; the first: {text}" for text in few]

    return with_readable_rows(connection, source, copy)


def _column_facts(
    connection: Connection, relation: str, types: Mapping[str, str], variables: Mapping[str, Any]
) -> dict[str, ColumnFacts]:
    rule = staging_rules(variables).text
    facts = {}
    for name in types:
        text = rule(quoted(name))
        row = connection.execute(
            f"select count(value), count(distinct value), left(min(value), {_EXAMPLE_LENGTH}), "
            f"count(*) filter (where try_cast(value as double) < 0) from (select {text} as value from {relation})"
        ).fetchall()[0]
        facts[name] = ColumnFacts(row[0], row[1], row[2] or "", row[3])
    return facts


def _times(
    connection: Connection, relation: str, types: Mapping[str, str], variables: Mapping[str, Any]
) -> dict[str, TimeFacts]:
    names = (*EVENT_NAMES["event_at"], *ITEM_COLUMN_NAMES["updated_at"])
    found = named_columns(types, names)
    times = {name: _time_facts(connection, relation, name, variables) for name in found}
    if any(facts.given for facts in times.values()):
        return times
    connection.execute(
        f"create or replace temp table few_rows as from {relation} limit {UNNAMED_TIME_ROWS}"  # regexes are slow
    )
    may_be_times = [name for name in types if name not in found and _may_be_times(connection, "few_rows", name)]
    unnamed = {name: _time_facts(connection, "few_rows", name, variables) for name in may_be_times}
    return {name: facts for name, facts in unnamed.items() if facts.given and facts.read >= 0.9 * facts.given}


def _may_be_times(connection: Connection, relation: str, name: str) -> bool:
    """Tell whether the values of a column are long numbers, or have three parts as a date has."""
    pattern = "'^[0-9]{8,19}([.][0-9]*)?$|[0-9]{1,4}[-/. ][0-9A-Za-z]{1,9}[-/., ]+[0-9]{1,4}'"
    values = f"(select cast({quoted(name)} as varchar) as value from {relation} where {quoted(name)} is not null)"
    count = count_rows(connection, values)
    return count > 0 and count_rows(connection, f"{values} where regexp_matches(value, {pattern})") >= 0.9 * count


def _time_facts(connection: Connection, relation: str, name: str, variables: Mapping[str, Any]) -> TimeFacts:
    rules = staging_rules(variables)
    given, read, example = connection.execute(
        f"with texts as (select {rules.text('value')} as value from "
        f"(select cast({quoted(name)} as varchar) as value from {relation})), "
        f"times as (select value, {rules.time('value')} as instant from texts) "
        "select count(value), count(*) filter (where is_right), "
        "min({'value': value, 'instant': strftime(instant at time zone 'UTC', '%Y-%m-%d %H:%M:%S')}) "
        "filter (where is_right) from (select *, "
        f"instant between {rules.earliest_event_at} and {rules.latest_event_at} as is_right from times)"
    ).fetchall()[0]
    unread = find_unread_times(connection, relation, quoted(name), variables)
    return TimeFacts(
        given, read, example["value"] if example else None, example["instant"] if example else None, unread
    )
