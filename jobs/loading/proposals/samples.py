"""Reads the first rows of a file as a sample, and collects facts about the file's format, columns and values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jobs.errors import NextmartError
from jobs.loading.file_listing import TEXT, InputFile, find_source_files
from jobs.loading.preset_sources import layout_matching_first_line
from jobs.loading.presets.all_presets import PRESETS
from jobs.loading.presets.layout import FileLayout, Preset
from jobs.loading.proposals.common_names import ALL_NAMES, EVENT_NAMES, ITEM_COLUMN_NAMES, columns_with_names
from jobs.loading.readable_rows import read_readable_rows
from jobs.loading.relations import FileRelation
from jobs.loading.sources import LoadSource, ReadOptions
from jobs.loading.staging_rules import staging_rules
from jobs.loading.text_dialects import dialect_of_text, has_no_header, likely_encoding, lines_after_header
from jobs.loading.time_formats import UnreadTimes, find_unread_times
from jobs.loading.unpacking import read_first_bytes
from jobs.warehouse.connection import Connection, count_rows, quoted_name

SAMPLE_ROWS = 100_000
"""The largest number of rows in a sample: the first rows of a file."""
UNNAMED_TIME_ROWS = 2_000
"""The number of rows that are searched for times in columns that are not named like times."""
_EXAMPLE_LENGTH = 40


@dataclass(frozen=True)
class ColumnFacts:
    """Counts and an example of a column's values in a sample.

    Attributes
    ----------
    value_count, distinct_count : int
        The number of values and of distinct values; blanks and words for null, such as ``NULL``, don't count.
    example : str
        One of the values, shortened.
    negative_count : int
        The number of values that are numbers below 0.
    """

    value_count: int
    distinct_count: int
    example: str
    negative_count: int


@dataclass(frozen=True)
class TimeFacts:
    """How many values of a column in a sample can be read as times, with an example.

    Attributes
    ----------
    value_count, readable_count : int
        The number of values, and the number of those that a build would read as times and accept.
    example, example_reading : str, optional
        One value as it is in the file, and the time in UTC that is read from it.
    unread_time_facts : UnreadTimes, optional
        Facts about values that can't be read for certain; None if there are none.
    """

    value_count: int
    readable_count: int
    example: str | None
    example_reading: str | None
    unread_time_facts: UnreadTimes | None


@dataclass(frozen=True)
class FileSample:
    """The first rows of a file that stands for a group of like files, with facts about them.

    Attributes
    ----------
    file_patterns : tuple of str
        The paths or globs of all files of the group.
    sampled_path : str
        The path of the file whose first rows are the sample.
    relation : str
        The temporary table with the rows.
    row_count : int
    has_all_rows : bool
        Whether the sample has all rows of that file.
    column_types : column -> DuckDB type
    read_options : ReadOptions
        How the file is read.
    first_line : str
        The first line of a text file; empty for other files.
    has_header : bool
        Whether the file's first line names its columns; if not, the columns get made-up names.
    remarks : tuple of str
        Further notes on the file, for the user.
    column_facts : column -> ColumnFacts
        Empty until ``with_value_facts`` has looked at the values.
    time_facts : column -> TimeFacts
        Facts about the columns that are named like times; if they hold no values, about all columns that hold times.
        Empty until ``with_value_facts`` has looked at the values.
    """

    file_patterns: tuple[str, ...]
    sampled_path: str
    relation: str
    row_count: int
    has_all_rows: bool
    column_types: Mapping[str, str]
    read_options: ReadOptions
    first_line: str = ""
    has_header: bool = True
    remarks: tuple[str, ...] = ()
    column_facts: Mapping[str, ColumnFacts] = field(default_factory=dict)
    time_facts: Mapping[str, TimeFacts] = field(default_factory=dict)

    @property
    def layouts(self) -> list[tuple[Preset, FileLayout]]:
        """The presets' layouts that fit the file by its columns; without a header, those that fit its first line."""
        pairs = [(preset, layout) for preset in PRESETS.values() for layout in preset.layouts]
        if not self.has_header:
            return [pair for pair in pairs if layout_matching_first_line([pair[1]], self.first_line)]
        return [
            pair for pair in pairs if not pair[1].first_line_pattern and not pair[1].missing_columns(self.column_types)
        ]


def take_sample(connection: Connection, file_patterns: tuple[str, ...], path: str, temp_table: str) -> FileSample:
    """Read the first rows of a file into a temporary table, and return them as a sample.

    Parameters
    ----------
    file_patterns : tuple of str
        The paths or globs of all files of its group.
    temp_table : str
        The name of the temporary table that is made.

    Raises
    ------
    NextmartError
        If the file can't be read, or holds no rows.
    """
    source = LoadSource("events", path, column_map={name: name for name in ALL_NAMES})
    file = find_source_files(connection, source)[0]
    form = _text_file_options(file) if file.file_format == TEXT else _FileOptions(ReadOptions())
    source = replace(source, read_options=form.read_options)
    types, remarks = _copy_rows(connection, source, temp_table)
    rows = count_rows(connection, temp_table)
    if not rows:
        raise NextmartError(f"{path} holds no rows")
    is_whole = rows <= SAMPLE_ROWS
    if not is_whole:
        connection.execute(f"create or replace temp table {temp_table} as from {temp_table} limit {SAMPLE_ROWS}")
        rows = SAMPLE_ROWS
    return FileSample(
        file_patterns,
        path,
        temp_table,
        rows,
        is_whole,
        types,
        form.read_options,
        form.first_line,
        form.has_header,
        (*form.remarks, *remarks),
    )


def with_value_facts(connection: Connection, sample: FileSample, dbt_vars: Mapping[str, Any]) -> FileSample:
    """Return a sample with ``column_facts`` and ``time_facts`` filled in.

    Parameters
    ----------
    dbt_vars : mapping
        Values of the dbt vars.
    """
    columns = _column_facts(connection, sample.relation, sample.column_types, dbt_vars)
    return replace(
        sample,
        column_facts=columns,
        time_facts=_all_time_facts(connection, sample.relation, sample.column_types, dbt_vars),
    )


def mean_distinct_values_per_item(connection: Connection, sample: FileSample, item_column: str, column: str) -> float:
    """Return how many distinct values of ``column`` an item has on average; 0 if the column has no values."""
    pairs = f"select distinct {quoted_name(item_column)} as item, {quoted_name(column)} as value from {sample.relation}"
    row = connection.execute(
        f"select count(*) / nullif(count(distinct item), 0) from ({pairs}) where item is not null and value is not null"
    ).fetchall()[0]
    return float(row[0] or 0)


@dataclass(frozen=True)
class _FileOptions:
    """The reading options that a file needs, with remarks for the user that say why."""

    read_options: ReadOptions
    first_line: str = ""
    has_header: bool = True
    remarks: tuple[str, ...] = ()


def _text_file_options(file: InputFile) -> _FileOptions:
    """Guess from a text file's first bytes the reading options that it needs."""
    beginning = read_first_bytes(file.path, file.compression)
    encoding = likely_encoding(beginning)
    remarks: tuple[str, ...] = ()
    if encoding:
        text = beginning.decode(encoding, errors="replace")
        remarks = (f"The file is not UTF-8. Read as {encoding}, it says{_non_ascii_words(text)}",)
        beginning = text.removeprefix("\ufeff").encode()
    dialect = dialect_of_text(beginning, None, None)
    if dialect is None:
        raise NextmartError(f"{file.path} is empty")
    layouts = [layout for preset in PRESETS.values() for layout in preset.layouts]
    layout = layout_matching_first_line(layouts, dialect.first_line)
    if not layout and not has_no_header(dialect, lines_after_header(beginning, dialect), ALL_NAMES):
        return _FileOptions(ReadOptions(encoding=encoding), dialect.first_line, remarks=remarks)
    if layout:
        options = replace(layout.read_options, encoding=layout.read_options.encoding or encoding)
    else:
        columns = tuple(f"column{number}" for number in range(1, len(dialect.column_names) + 1))
        options = ReadOptions(encoding=encoding, delimiter=dialect.delimiter, columns=columns)
    return _FileOptions(options, dialect.first_line, has_header=False, remarks=remarks)


def _non_ascii_words(text: str) -> str:
    """Return the first words of a text that are not ASCII, so that the user can judge a guessed encoding."""
    words = [word for line in text.splitlines() for word in line.split() if not word.isascii()][:3]
    return " " + ", ".join(f"'{word[:_EXAMPLE_LENGTH]}'" for word in words) if words else " nothing unusual"


def _copy_rows(connection: Connection, source: LoadSource, temp_table: str) -> tuple[dict[str, str], list[str]]:
    """Copy a file's first rows to the temporary table ``temp_table``; return the file's column types, and remarks."""

    def copy_first_rows(_: LoadSource, file_relation: FileRelation) -> tuple[dict[str, str], list[str]]:
        # one row more than the sample holds is read, to learn whether the file has more
        connection.execute(
            f"create or replace temp table {temp_table} as from {file_relation.sql} limit {SAMPLE_ROWS + 1}"
        )
        count, first = file_relation.unreadable_row_count, file_relation.unreadable_row_examples[:1]
        return file_relation.column_types, [f"{count:,} rows can't be read; the first: {text}" for text in first]

    return read_readable_rows(connection, source, copy_first_rows)


def _column_facts(
    connection: Connection, relation: str, column_types: Mapping[str, str], dbt_vars: Mapping[str, Any]
) -> dict[str, ColumnFacts]:
    rule = staging_rules(dbt_vars).text_sql
    facts = {}
    for name in column_types:
        text = rule(quoted_name(name))
        row = connection.execute(
            f"select count(value), count(distinct value), left(min(value), {_EXAMPLE_LENGTH}), "
            f"count(*) filter (where try_cast(value as double) < 0) from (select {text} as value from {relation})"
        ).fetchall()[0]
        facts[name] = ColumnFacts(row[0], row[1], row[2] or "", row[3])
    return facts


def _all_time_facts(
    connection: Connection, relation: str, column_types: Mapping[str, str], dbt_vars: Mapping[str, Any]
) -> dict[str, TimeFacts]:
    """Return facts about columns that are named like times; if they have no values, about columns that hold times."""
    names = (*EVENT_NAMES["event_at"], *ITEM_COLUMN_NAMES["updated_at"])
    found = columns_with_names(column_types, names)
    times = {name: _time_facts(connection, relation, name, dbt_vars) for name in found}
    if any(facts.value_count for facts in times.values()):
        return times
    # few rows are tested, because the regular expressions by which times are read are slow
    connection.execute(f"create or replace temp table few_rows as from {relation} limit {UNNAMED_TIME_ROWS}")
    may_be_times = [name for name in column_types if name not in found and _may_be_times(connection, "few_rows", name)]
    unnamed = {name: _time_facts(connection, "few_rows", name, dbt_vars) for name in may_be_times}
    return {
        name: facts
        for name, facts in unnamed.items()
        if facts.value_count and facts.readable_count >= 0.9 * facts.value_count
    }


def _may_be_times(connection: Connection, relation: str, column: str) -> bool:
    """Tell whether most values of a column look like times: long numbers, or texts of three parts, as dates are."""
    pattern = "'^[0-9]{8,19}([.][0-9]*)?$|[0-9]{1,4}[-/. ][0-9A-Za-z]{1,9}[-/., ]+[0-9]{1,4}'"
    column_sql = quoted_name(column)
    values = f"(select cast({column_sql} as varchar) as value from {relation} where {column_sql} is not null)"
    count = count_rows(connection, values)
    return count > 0 and count_rows(connection, f"{values} where regexp_matches(value, {pattern})") >= 0.9 * count


def _time_facts(connection: Connection, relation: str, column: str, dbt_vars: Mapping[str, Any]) -> TimeFacts:
    rules = staging_rules(dbt_vars)
    value_count, read, example = connection.execute(
        f"with texts as (select {rules.text_sql('value')} as value from "
        f"(select cast({quoted_name(column)} as varchar) as value from {relation})), "
        f"times as (select value, {rules.time_sql('value')} as instant from texts) "
        "select count(value), count(*) filter (where is_right), "
        "min({'value': value, 'instant': strftime(instant at time zone 'UTC', '%Y-%m-%d %H:%M:%S')}) "
        "filter (where is_right) from (select *, "
        f"instant between {rules.earliest_event_at_sql} and {rules.latest_event_at_sql} as is_right from times)"
    ).fetchall()[0]
    unread = find_unread_times(connection, relation, quoted_name(column), dbt_vars)
    return TimeFacts(
        value_count, read, example["value"] if example else None, example["instant"] if example else None, unread
    )
