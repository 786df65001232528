"""`nextmart load`: append the new rows of files to ``raw.events`` and ``raw.items``; known rows are not added again."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from jobs.errors import NextmartError, UsageError, nearest
from jobs.warehouse.clock import now
from jobs.warehouse.columns import RAW_EVENTS, RAW_ITEMS
from jobs.warehouse.connection import Connection, count_rows, literal, quoted, transaction
from jobs.warehouse.job_runs import JobRun

TABLE_COLUMNS = {
    "events": [name for name in RAW_EVENTS if name != "loaded_at"],
    "items": [name for name in RAW_ITEMS if name != "loaded_at"],
}
REQUIRED_COLUMNS = {"events": ("visitor_id", "item_id", "event_at"), "items": ("item_id",)}

# All values of a CSV file are read as text, because an id such as 007 must not become a number. The options
# header and skip are given, because DuckDB would otherwise guess whether there is a header, and skip the first lines of
# a file in which a line is broken
_CSV = "read_csv({}, all_varchar = true, header = true, skip = 0, union_by_name = true)"
_JSON_LINES = "read_json({}, format = 'newline_delimited', union_by_name = true)"
READERS = {
    ".csv": _CSV,
    ".tsv": _CSV,
    ".parquet": "read_parquet({}, union_by_name = true)",
    ".jsonl": _JSON_LINES,
    ".ndjson": _JSON_LINES,
    ".json": "read_json({}, union_by_name = true)",
}

NEW_EVENTS = """
    -- A row of events is new if no row of raw.events has the same values
    insert into raw.events by name
    select incoming.*, $loaded_at as loaded_at
    from incoming
    anti join raw.events as known on {same}
"""

NEW_ITEMS = """
    -- A row of an item is new if it differs from the newest row that raw.items has of the item. A row with a date
    -- (updated_at) is new only if it differs from all rows of the item
    insert into raw.items by name
    with known as (
        select *, row_number() over (partition by item_id order by loaded_at desc, updated_at desc nulls last) as age
        from raw.items
        where item_id in (select item_id from incoming)
    )
    select incoming.*, $loaded_at as loaded_at
    from incoming
    anti join known on {same} and (known.age = 1 or incoming.updated_at is not null)
"""


@dataclass(frozen=True)
class SourceFiles:
    """The files to load into one table.

    Attributes
    ----------
    table : str
        ``events`` or ``items``.
    path : str
        A path, which may be a glob.
    where : str, optional
        SQL over the files' columns: only rows for which it is true are loaded.
    """

    table: str
    path: str
    where: str | None = None


def parse_maps(map_arguments: Iterable[str]) -> dict[str, dict[str, str]]:
    """Parse ``--map`` arguments of the form ``[events.|items.]our_column=their_column_or_SQL``.

    Returns
    -------
    table -> nextmart's column -> the files' column, or SQL over the files' columns

    Raises
    ------
    UsageError
        If nextmart has no such column, or an argument has no ``=``.
    """
    column_maps: dict[str, dict[str, str]] = {"events": {}, "items": {}}
    for text in map_arguments:
        ours, equals, theirs = text.partition("=")
        table, dot, column = ours.strip().rpartition(".")
        tables = [table] if dot else [name for name, columns in TABLE_COLUMNS.items() if column in columns]
        if not equals or not theirs.strip():
            raise UsageError(f"--map {text}: write our_column=their_column")
        if not tables or tables[0] not in TABLE_COLUMNS or column not in TABLE_COLUMNS[tables[0]]:
            all_columns = {*TABLE_COLUMNS["events"], *TABLE_COLUMNS["items"]}
            known = TABLE_COLUMNS.get(tables[0], all_columns) if tables else all_columns
            raise UsageError(f"--map {text}: nextmart has no column '{ours.strip()}'; {nearest(column, known)}")
        for name in tables:
            column_maps[name][column] = theirs.strip()
    return column_maps


def load(
    connection: Connection, sources: list[SourceFiles], column_maps: dict[str, dict[str, str]], run_record: JobRun
) -> None:
    """Append the new rows of the source files to the raw tables, in one transaction: an error leaves nothing loaded."""
    with transaction(connection):
        for source in sources:
            read_count = _fill_incoming(connection, source, column_maps[source.table])
            incoming_count = count_rows(connection, "incoming")
            columns = TABLE_COLUMNS[source.table]
            same = " and ".join(f"incoming.{column} is not distinct from known.{column}" for column in columns)
            insert = (NEW_EVENTS if source.table == "events" else NEW_ITEMS).format(same=same)
            count_before = count_rows(connection, f"raw.{source.table}")
            try:
                connection.execute(insert, {"loaded_at": now()})
            except duckdb.CatalogException as error:
                raise NextmartError(f"can't load into raw.{source.table}: is it a view of yours? {error}") from error
            loaded_count = count_rows(connection, f"raw.{source.table}") - count_before
            run_record.rows_in += read_count
            run_record.rows_out += loaded_count
            run_record.detail[source.table] = {
                "read": read_count,
                "repeated": read_count - incoming_count,
                "known": incoming_count - loaded_count,
                "loaded": loaded_count,
            }


def _fill_incoming(connection: Connection, source: SourceFiles, column_map: dict[str, str]) -> int:
    """Fill the table ``incoming`` with the files' rows in nextmart's columns; return the number of rows read.

    ``incoming`` is temporary, and has no repeated rows; the number of rows read counts repeated rows too.

    Parameters
    ----------
    column_map : nextmart's column -> the files' column, or SQL over the files' columns
    """
    suffix = "".join(Path(source.path).suffixes[-2:]).lower().removesuffix(".gz").removesuffix(".zst")
    reader = READERS.get(Path("x" + suffix).suffix)
    if reader is None:
        raise UsageError(f"{source.path}: can't tell its format; known endings: {', '.join(READERS)}")
    reader_call = reader.format(literal(source.path))
    types = _column_types(connection, source, reader_call)
    if reader_call.startswith("read_json("):
        # without types, DuckDB guesses for each file which texts are dates, UUIDs or decimals, and respells them
        texts = (
            f"{literal(name)}: {literal(type_name if _is_nested(type_name) else 'VARCHAR')}"
            for name, type_name in types.items()
        )
        reader_call = reader_call.removesuffix(")") + f", columns = {{{', '.join(texts)}}})"
    file_columns = {name.lower(): name for name in types}
    expressions = {
        column: _column_sql(column, source, column_map, file_columns) for column in TABLE_COLUMNS[source.table]
    }
    if source.table == "events":
        if "event_id" not in column_map and "event_id" not in file_columns:
            # the event_id is a hash of the row's values, so that the same row has the same id in every file
            framed_values = (
                f"coalesce(length({text})::varchar || ':' || {text}, '-')"
                for name, text in expressions.items()
                if name not in ("event_id", "user_agent")  # rows that differ in user_agent alone are one event
            )
            expressions["event_id"] = f"md5(concat({', '.join(framed_values)}))"
        if "event_type" not in column_map and "event_type" not in file_columns:
            expressions["event_type"] = "'view'"
    selected = ", ".join(f"{text} as {column}" for column, text in expressions.items())
    where = f"where {source.where}" if source.where else ""
    try:
        connection.execute(f"create or replace temp table incoming as select {selected} from {reader_call} {where}")
    except duckdb.Error as error:
        raise NextmartError(
            f"can't read {source.path}: {_first_paragraph(error)}\nIts columns: {', '.join(types)}. Nothing was loaded."
        ) from error
    read_count = count_rows(connection, "incoming")
    if read_count == 0:
        raise NextmartError(
            f"{source.path} holds no rows{' that --where keeps' if source.where else ''}; nothing was loaded"
        )
    connection.execute(_deduplication_sql(source.table))
    return read_count


def _deduplication_sql(table: str) -> str:
    """Return the SQL that removes repeated rows from ``incoming``: each event stays once, each item has one row.

    A file may have many rows of an item (a file of orders, for example); the latest row stays. The order of rows is
    total, so that the same row stays whenever the file is loaded.
    """
    if table == "events":
        return "create or replace temp table incoming as select distinct * from incoming"
    other_columns = ", ".join(f"{column} nulls last" for column in TABLE_COLUMNS["items"])
    return (
        "create or replace temp table incoming as select * from incoming qualify row_number() over ("
        "partition by item_id order by try_cast(updated_at as timestamptz) desc nulls last, "
        f"try_cast(updated_at as double) desc nulls last, {other_columns}) = 1"
    )


def _column_types(connection: Connection, source: SourceFiles, reader_call: str) -> dict[str, str]:
    """Return the types of the files' columns, by the column's name as the files spell it.

    Raises
    ------
    NextmartError
        If DuckDB can't read the files, or they have no bytes.
    """
    try:
        described = connection.execute(f"describe select * from {reader_call}").fetchall()
        size = connection.execute(f"select sum(size) from read_blob({literal(source.path)})").fetchone()
    except duckdb.Error as error:
        raise NextmartError(f"can't read {source.path}: {_first_paragraph(error)}\nNothing was loaded.") from error
    if size and size[0] == 0:
        raise NextmartError(f"{source.path} is empty; nothing was loaded")
    return {row[0]: row[1] for row in described}


def _is_nested(type_name: str) -> bool:
    """Tell whether a DuckDB type is a struct, a map or a list."""
    return type_name.endswith((")", "]"))


def _column_sql(column: str, source: SourceFiles, column_map: dict[str, str], file_columns: dict[str, str]) -> str:
    """Return the SQL for one of nextmart's columns: a column of the files, the expression of ``--map``, or null.

    Parameters
    ----------
    file_columns : name in lower case -> name as the files spell it

    Raises
    ------
    UsageError
        If the column is required, and neither the files nor the map have it.
    """
    theirs = column_map.get(column, column)
    if theirs.lower() in file_columns:
        return f"cast({quoted(file_columns[theirs.lower()])} as varchar)"
    if column in column_map:
        return f"cast(({theirs}) as varchar)"
    required = REQUIRED_COLUMNS[source.table]
    if column in required:
        optional = [name for name in TABLE_COLUMNS[source.table] if name not in required]
        raise UsageError(
            f"{source.path} has no column {column}.\n"
            f"It has: {', '.join(file_columns.values())}.\n"
            f"{source.table} need {', '.join(required)}; they may have {', '.join(optional)}.\n"
            f"Say which one it is: --map {source.table}.{column}=THEIR_COLUMN (or SQL over their columns)."
        )
    return "cast(null as varchar)"


def _first_paragraph(error: Exception) -> str:
    """Return the first paragraph of an error message of DuckDB: the reason, without the advice about SQL after it."""
    return str(error).strip().split("\n\n")[0]
