"""`nextmart load`: files into ``raw``, read by DuckDB, appended so that the same file twice changes nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from jobs.errors import NextmartError, UsageError, nearest
from jobs.warehouse.clock import now
from jobs.warehouse.columns import RAW_EVENTS, RAW_ITEMS
from jobs.warehouse.connection import Connection, count_rows, literal, transaction
from jobs.warehouse.job_runs import JobRun

COLUMNS = {
    "events": [name for name in RAW_EVENTS if name != "loaded_at"],
    "items": [name for name in RAW_ITEMS if name != "loaded_at"],
}
REQUIRED = {"events": ("visitor_id", "item_id", "event_at"), "items": ("item_id",)}

# text stays text: an id such as 007 must not become a number; a file with a broken line must not lose its first ones
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
    insert into raw.events by name
    select incoming.*, $loaded_at as loaded_at
    from incoming
    anti join raw.events as known on {same}
"""

NEW_ITEMS = """
    -- an item's row is new if it differs from the item's newest one; with a date of its own, if it never came before
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
class Source:
    """One input: files of one table, how their columns are called, and which rows are wanted."""

    table: str
    path: str
    where: str | None = None


def parse_maps(texts: Iterable[str]) -> dict[str, dict[str, str]]:
    """Read ``--map`` arguments: ``[events.|items.]our_column=their_column_or_SQL``, by table.

    Raises
    ------
    UsageError
        For a column that nextmart does not have, or an argument without ``=``.
    """
    maps: dict[str, dict[str, str]] = {"events": {}, "items": {}}
    for text in texts:
        ours, equals, theirs = text.partition("=")
        table, dot, column = ours.strip().rpartition(".")
        tables = [table] if dot else [name for name, columns in COLUMNS.items() if column in columns]
        if not equals or not theirs.strip():
            raise UsageError(f"--map {text}: write our_column=their_column")
        if not tables or tables[0] not in COLUMNS or column not in COLUMNS[tables[0]]:
            known = (
                {*COLUMNS["events"], *COLUMNS["items"]}
                if tables == [] or tables[0] not in COLUMNS
                else COLUMNS[tables[0]]
            )
            raise UsageError(f"--map {text}: nextmart has no column '{ours.strip()}'; {nearest(column, known)}")
        for name in tables:
            maps[name][column] = theirs.strip()
    return maps


def load(connection: Connection, sources: list[Source], maps: dict[str, dict[str, str]], run: JobRun) -> None:
    """Append what is new in ``sources`` to ``raw``; all of them, or nothing on an error."""
    with transaction(connection):
        for source in sources:
            read = _stage(connection, source, maps[source.table])
            staged = count_rows(connection, "incoming")
            columns = COLUMNS[source.table]
            same = " and ".join(f"incoming.{column} is not distinct from known.{column}" for column in columns)
            insert = (NEW_EVENTS if source.table == "events" else NEW_ITEMS).format(same=same)
            before = count_rows(connection, f"raw.{source.table}")
            try:
                connection.execute(insert, {"loaded_at": now()})
            except duckdb.CatalogException as error:
                raise NextmartError(f"can't load into raw.{source.table}: is it a view of yours? {error}") from error
            loaded = count_rows(connection, f"raw.{source.table}") - before
            run.rows_in += read
            run.rows_out += loaded
            run.detail[source.table] = {
                "read": read,
                "repeated": read - staged,
                "known": staged - loaded,
                "loaded": loaded,
            }


def _stage(connection: Connection, source: Source, chosen: dict[str, str]) -> int:
    """Fill the temporary table ``incoming`` with the mapped, distinct rows; return how many were read."""
    suffix = "".join(Path(source.path).suffixes[-2:]).lower().removesuffix(".gz").removesuffix(".zst")
    reader = READERS.get(Path("x" + suffix).suffix)
    if reader is None:
        raise UsageError(f"{source.path}: can't tell its format; known endings: {', '.join(READERS)}")
    files = reader.format(literal(source.path))
    types = _types(connection, source, files)
    if files.startswith("read_json("):
        # left alone, the reader guesses at dates, UUIDs and decimals, file by file, and spells them its own way
        texts = (f"{literal(name)}: {literal(kind if _nested(kind) else 'VARCHAR')}" for name, kind in types.items())
        files = files.removesuffix(")") + f", columns = {{{', '.join(texts)}}})"
    found = {name.lower(): name for name in types}
    fields = {column: _expression(column, source, chosen, found) for column in COLUMNS[source.table]}
    if source.table == "events":
        if "event_id" not in chosen and "event_id" not in found:
            # the row names itself: the same row has the same id in every file
            framed = (
                f"coalesce(length({text})::varchar || ':' || {text}, '-')"
                for name, text in fields.items()
                if name not in ("event_id", "user_agent")  # the browser says nothing of what happened
            )
            fields["event_id"] = f"md5(concat({', '.join(framed)}))"
        if "event_type" not in chosen and "event_type" not in found:
            fields["event_type"] = "'view'"
    selected = ", ".join(f"{text} as {column}" for column, text in fields.items())
    where = f"where {source.where}" if source.where else ""
    try:
        connection.execute(f"create or replace temp table incoming as select {selected} from {files} {where}")
    except duckdb.Error as error:
        raise NextmartError(
            f"can't read {source.path}: {_reason(error)}\nIts columns: {', '.join(types)}. Nothing was loaded."
        ) from error
    read = count_rows(connection, "incoming")
    if read == 0:
        raise NextmartError(
            f"{source.path} holds no rows{' that --where keeps' if source.where else ''}; nothing was loaded"
        )
    connection.execute(_distinct(source.table))
    return read


def _distinct(table: str) -> str:
    if table == "events":
        return "create or replace temp table incoming as select distinct * from incoming"
    # a file with many rows an item (orders, say) gives the item its latest text; the order is total
    others = ", ".join(f"{column} nulls last" for column in COLUMNS["items"])
    return (
        "create or replace temp table incoming as select * from incoming qualify row_number() over ("
        "partition by item_id order by try_cast(updated_at as timestamptz) desc nulls last, "
        f"try_cast(updated_at as double) desc nulls last, {others}) = 1"
    )


def _types(connection: Connection, source: Source, files: str) -> dict[str, str]:
    """Return the file's columns as written, with their types; an error for a file of no bytes."""
    try:
        described = connection.execute(f"describe select * from {files}").fetchall()
        size = connection.execute(f"select sum(size) from read_blob({literal(source.path)})").fetchone()
    except duckdb.Error as error:
        raise NextmartError(f"can't read {source.path}: {_reason(error)}\nNothing was loaded.") from error
    if size and size[0] == 0:
        raise NextmartError(f"{source.path} is empty; nothing was loaded")
    return {row[0]: row[1] for row in described}


def _nested(kind: str) -> bool:
    return kind.endswith((")", "]"))


def _expression(column: str, source: Source, chosen: dict[str, str], found: dict[str, str]) -> str:
    """Return SQL text for one of our columns: a column of the file, an expression over its columns, or null."""
    theirs = chosen.get(column, column)
    if theirs.lower() in found:
        quoted = '"' + found[theirs.lower()].replace('"', '""') + '"'
        return f"cast({quoted} as varchar)"
    if column in chosen:
        return f"cast(({theirs}) as varchar)"
    if column in REQUIRED[source.table]:
        optional = [name for name in COLUMNS[source.table] if name not in REQUIRED[source.table]]
        raise UsageError(
            f"{source.path} has no column {column}.\n"
            f"It has: {', '.join(found.values())}.\n"
            f"{source.table} need {', '.join(REQUIRED[source.table])}; they may have {', '.join(optional)}.\n"
            f"Say which one it is: --map {source.table}.{column}=THEIR_COLUMN (or SQL over their columns)."
        )
    return "cast(null as varchar)"


def _reason(error: Exception) -> str:
    """Return the part of DuckDB's message that says what is wrong, without its advice about SQL."""
    return str(error).strip().split("\n\n")[0]
