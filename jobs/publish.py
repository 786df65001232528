"""The publish job: one verified, read-only DuckDB file, swapped in whole by a rename.

A reader that has the old file open keeps it; one that opens the name afterwards gets the new file; nobody ever
sees a half. The file holds copies, so analysts and the nightly build never wait for each other's locks.
"""

import os
from pathlib import Path

import duckdb

from jobs.errors import NextmartError
from jobs.warehouse import SCHEMAS, Connection, JobRun, count_rows, fsync_folder, literal, now, project_folder

PUBLIC_TABLES = """
    select table_name from information_schema.tables
    where table_catalog = current_database() and table_schema = 'recommendations'
    order by table_name
"""

COMMENTS = """
    -- of the columns, and under no column's name of the table itself
    select column_name, comment from duckdb_columns()
    where database_name = current_database() and schema_name = 'recommendations' and table_name = $table
        and comment is not null
    union all
    select null, comment from duckdb_tables()
    where database_name = current_database() and schema_name = 'recommendations' and table_name = $table
        and comment is not null
    order by all
"""

WAREHOUSE_PATH = "select path from duckdb_databases() where database_name = current_database()"


def publish(connection: Connection, target: Path, run: JobRun) -> None:
    """Copy the ``recommendations`` schema of the open warehouse to ``target``.

    Raises
    ------
    NextmartError
        If there is nothing to publish, or the copy is not what was written; the old file then stays.
    """
    if target.stem in SCHEMAS:
        raise NextmartError(f"the published file can't be called '{target.name}': that is the name of a schema in it")
    if _is_open_as(connection, target):
        raise NextmartError(f"the published file can't be '{target}': that is the warehouse itself")
    tables = [name for (name,) in connection.execute(PUBLIC_TABLES).fetchall()]
    if "visitor_recommendations" not in tables:
        raise NextmartError("there are no recommendation tables yet: run `nextmart run`")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.unfinished")
    _remove(unfinished)  # a killed run's
    try:
        counts = _copy(connection, unfinished, tables, run)
        _add_macros(unfinished)
        _verify(unfinished, counts)
        _swap(unfinished, target)
    finally:
        _remove(unfinished)
    run.rows_out = sum(counts.values())
    run.detail = {"file": str(target), "rows": counts}


def _is_open_as(connection: Connection, path: Path) -> bool:
    found = connection.execute(WAREHOUSE_PATH).fetchone()
    return bool(found and found[0] and path.exists() and path.samefile(found[0]))


def _copy(connection: Connection, path: Path, tables: list[str], run: JobRun) -> dict[str, int]:
    counts = {}
    connection.execute(f"attach {literal(str(path))} as published_copy")
    try:
        connection.execute("create schema published_copy.recommendations")
        for table in tables:
            copy = f"published_copy.recommendations.{_name(table)}"
            connection.execute(f"create table {copy} as from recommendations.{_name(table)}")
            for column, comment in connection.execute(COMMENTS, {"table": table}).fetchall():
                what = f"column {copy}.{_name(column)}" if column else f"table {copy}"
                connection.execute(f"comment on {what} is {literal(comment)}")
            counts[table] = count_rows(connection, f"recommendations.{_name(table)}")
        connection.execute(
            "create table published_copy.recommendations.publication as "
            "select ?::timestamptz as published_at, ? as publish_run_id, "
            "(select max(model_version) from recommendations.visitor_recommendations) as model_version",
            [now(), run.run_id],
        )
    finally:
        connection.execute("detach published_copy")
    return counts


def _add_macros(path: Path) -> None:
    with duckdb.connect(str(path)) as copy:
        for macro in sorted((project_folder("sql") / "macros").glob("*.sql")):
            copy.execute(macro.read_text(encoding="utf-8"))
        copy.execute("checkpoint")


def _verify(path: Path, counts: dict[str, int]) -> None:
    if path.with_name(path.name + ".wal").exists():
        raise NextmartError(f"{path} was not closed cleanly: a write-ahead log is left")
    with duckdb.connect(str(path), read_only=True) as copy:
        for table, expected in counts.items():
            found = count_rows(copy, f"recommendations.{_name(table)}")
            if found != expected:
                raise NextmartError(f"the copy of {table} holds {found} rows, not {expected}; nothing was published")


def _swap(unfinished: Path, target: Path) -> None:
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    # a log left beside the old file would make every reader of the new one fail
    target.with_name(target.name + ".wal").unlink(missing_ok=True)
    unfinished.replace(target)
    fsync_folder(target.absolute().parent)


def _remove(path: Path) -> None:
    for name in (path.name, path.name + ".wal"):
        path.with_name(name).unlink(missing_ok=True)


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
