"""Finds the layout of a preset that fits a source's files, and adds the layout's column map and options to the source.

A layout describes the columns of one kind of file that another system exports.
"""

import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from jobs.errors import NextmartError, UsageError
from jobs.loading.file_listing import TEXT, InputFile, find_source_files
from jobs.loading.formats import file_relation
from jobs.loading.presets.all_presets import PRESETS, find_preset
from jobs.loading.presets.layout import FileLayout, Preset
from jobs.loading.relations import FileRelation
from jobs.loading.sources import LoadSource, ReadOptions
from jobs.loading.unpacking import read_first_bytes
from jobs.progress import without_control_characters
from jobs.warehouse.connection import Connection, quoted_name


def source_with_preset_and_relation(
    connection: Connection, source: LoadSource, copies_folder: Path, *, check_lines: bool = False
) -> tuple[LoadSource, FileRelation]:
    """Return a source with its preset's map, condition and options, and the SQL that reads its files.

    The user's own map, options and time formats take precedence over the preset's. A row is loaded if it meets both the
    preset's condition and the user's.

    Parameters
    ----------
    copies_folder : Path
        An empty folder for copies of files that DuckDB can't read as they are; it must exist while the relation is
        used.
    check_lines : bool
        Whether to read text files line by line, and to leave out the rows that can't be read.

    Raises
    ------
    UsageError
        If there is no such preset, or it has no layout for the table or for the files' columns, or the files' format,
        encoding or header is not known.
    NextmartError
        If the files are empty, can't be read, or have too many unreadable rows.
    """
    if source.preset_name is None:
        return source, file_relation(connection, source, copies_folder, check_lines=check_lines)
    chosen_preset = find_preset(source.preset_name)
    layouts = _layouts_of_table(chosen_preset, source.table)
    source = _with_layout_options(connection, source, layouts)
    source_relation = file_relation(connection, source, copies_folder, check_lines=check_lines)
    layout = next((each for each in layouts if not each.missing_columns(source_relation.column_types)), None)
    if layout is None:
        raise UsageError(_missing_columns_message(source, chosen_preset, layouts, source_relation.column_types))
    return with_layout(source, layout), relation_of_layout(source_relation, layout)


def layout_matching_first_line(layouts: Collection[FileLayout], first_line: str) -> FileLayout | None:
    """Return the layout whose ``first_line_pattern`` matches a file's first line; None if there is none.

    Only layouts of files without a header have such a pattern.
    """
    return next(
        (each for each in layouts if each.first_line_pattern and re.fullmatch(each.first_line_pattern, first_line)),
        None,
    )


def with_layout(source: LoadSource, layout: FileLayout) -> LoadSource:
    """Return a source with a layout's map, condition and time formats added; the source's own map takes precedence."""
    conditions = [f"({condition}\n)" for condition in (layout.where_sql, source.where_sql) if condition]
    return replace(
        source,
        column_map={**layout.column_map, **source.column_map},
        where_sql=" and ".join(conditions) or None,
        time_formats=source.time_formats or layout.time_formats,
    )


def relation_of_layout(file_relation: FileRelation, layout: FileLayout) -> FileRelation:
    """Return the relation of the files that the SQL of a layout's map and condition reads.

    It has all columns that the layout names; a column that the files lack is null. If the layout has an
    ``unnested_list_sql``, the relation has one row for each element of that list.
    """
    types = dict(file_relation.column_types)
    known = {name.lower(): name for name in types}
    selected = ["*"]
    replaced = []
    for name in dict.fromkeys((*layout.required_columns, *layout.optional_columns, *layout.json_columns)):
        is_json = name in layout.json_columns
        own_name = known.get(name.lower())
        if own_name is None:
            types[name] = "JSON" if is_json else "VARCHAR"
            selected.append(f"cast(null as {types[name]}) as {quoted_name(name)}")
        elif is_json:
            column = quoted_name(own_name)
            value = f"try_cast({column} as json)" if types[own_name] in ("VARCHAR", "JSON") else f"to_json({column})"
            replaced.append(f"{value} as {column}")
            types[own_name] = "JSON"
    if replaced:
        selected[0] = f"* replace ({', '.join(replaced)})"
    sql = f"(select {', '.join(selected)} from {file_relation.sql})"
    if layout.unnested_list_sql:
        # a row whose list is empty stays, as one row with a null element
        elements = f"case when len({layout.unnested_list_sql}) > 0 then {layout.unnested_list_sql} else [null] end"
        sql = (
            "(select * exclude (listed_elements), unnest(listed_elements) as element, "
            "unnest(range(1, len(listed_elements) + 1)) as element_number "
            f"from (select *, {elements} as listed_elements from {sql}))"
        )
        types |= {"element": "JSON", "element_number": "BIGINT"}
    return replace(file_relation, sql=sql, column_types=types)


def _layouts_of_table(chosen_preset: Preset, table: str) -> tuple[FileLayout, ...]:
    layouts = chosen_preset.layouts_of_table(table)
    if not layouts:
        others = ", ".join(name for name, each in PRESETS.items() if each.layouts_of_table(table))
        raise UsageError(f"preset {chosen_preset.name} has no {table}; presets with {table}: {others}")
    return layouts


def _with_layout_options(connection: Connection, source: LoadSource, layouts: tuple[FileLayout, ...]) -> LoadSource:
    """Return a source with the layouts' JSON columns and, for a file without a header, its layout's reading options.

    Reading options that the user has given stay.
    """
    json_columns = tuple(dict.fromkeys(name for each in layouts for name in each.json_columns))
    source = replace(source, json_columns=json_columns)
    if source.read_options.columns or not any(each.first_line_pattern for each in layouts):
        return source
    try:
        files = find_source_files(connection, source)
    except NextmartError:
        return source  # a table has no files, and a missing file raises a clearer error when it is read
    if files[0].file_format != TEXT:
        return source
    encoding = source.read_options.encoding or "utf-8"
    first_lines = (_first_line(file, encoding) for file in files)
    layout = layout_matching_first_line(layouts, next(filter(None, first_lines), ""))
    if layout is None:
        return source
    own = source.read_options
    given = {name: value for name, value in vars(own).items() if value is not None}
    return replace(source, read_options=ReadOptions(**{**vars(layout.read_options), **given}))


def _first_line(file: InputFile, encoding: str) -> str:
    """Return the first line of a text file that is not empty; an empty text if the file has no such line."""
    beginning = read_first_bytes(file.path, file.compression).decode(encoding, errors="replace")
    return next(iter(beginning.removeprefix("\ufeff").lstrip("\r\n").splitlines()), "")


def _missing_columns_message(
    source: LoadSource, tried_preset: Preset, layouts: tuple[FileLayout, ...], file_columns: Collection[str]
) -> str:
    """Return the error message for files whose columns fit no layout of a preset."""
    nearest = min(layouts, key=lambda layout: len(layout.missing_columns(file_columns)) / len(layout.required_columns))
    kinds = ", ".join(dict.fromkeys(layout.usual_file_name for layout in layouts))
    missing_columns = nearest.missing_columns(file_columns)
    return without_control_characters(
        f"{source.path} lacks columns that the preset {tried_preset.name} reads as {source.table} from "
        f"{nearest.usual_file_name}: {', '.join(missing_columns)}.\n"
        f"It has: {', '.join(file_columns)}.\n"
        f"The preset {tried_preset.name} ({tried_preset.title}) reads {source.table} from: {kinds}.\n"
        f"For other files, say which column is which: --map {source.table}.item_id=THEIR_COLUMN and so on, without "
        "--preset. Nothing was loaded."
    )
