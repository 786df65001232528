"""The publish job: one verified, read-only DuckDB file, swapped in whole by a rename.

A reader that has the old file open keeps it; one that opens the name afterwards gets the new file; nobody ever
sees a half. The file holds copies, so analysts and the nightly build never wait for each other's locks.
"""

import os
from pathlib import Path

import duckdb

from jobs.errors import NextmartError
from jobs.files import fsync_folder, project_folder
from jobs.warehouse.clock import now
from jobs.warehouse.connection import SCHEMAS, Connection, count_rows, literal, quoted
from jobs.warehouse.job_runs import JobRun

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

VISITOR_TABLES = """
    select table_name from duckdb_columns()
    where database_name = current_database() and schema_name = 'recommendations' and column_name = 'visitor_id'
"""

WAREHOUSE_PATH = "select path from duckdb_databases() where database_name = current_database()"


def publish(connection: Connection, target: Path, run: JobRun) -> None:
    """Copy the ``recommendations`` schema of the open warehouse to ``target``.

    Raises
    ------
    NextmartError
        If there is nothing to publish, or the copy is not what was written; the old file then stays.
    """
    _refuse_other_files(connection, target)
    contents = _contents(connection)
    if "visitor_recommendations" not in contents:
        raise NextmartError("there are no recommendation tables yet: run `nextmart run`")
    contents["publication"] = (
        f"select {literal(now().isoformat())}::timestamptz as published_at, {literal(run.run_id)} as publish_run_id, "
        "(select max(model_version) from recommendations.visitor_recommendations) as model_version"
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    counts = _replace(connection, target, contents)
    del counts["publication"]
    run.rows_out = sum(counts.values())
    run.detail = {"file": str(target), "rows": counts}


def withdraw(connection: Connection, target: Path, visitors: list[str]) -> int:
    """Put a copy without the rows of ``visitors`` in the published file's place; return how many rows those were.

    It is a copy of what is published, not of the warehouse's tables, which may be those of an unfinished night. And a
    new file, since deleted rows stay in an old one as bytes.
    """
    if not target.exists():
        return 0
    _refuse_other_files(connection, target)
    with duckdb.connect() as copying:
        copying.execute("set TimeZone = 'UTC'")
        copying.execute(f"attach {literal(str(target))} as published (read_only)")
        copying.execute("use published")
        copying.execute(
            "create temp table withdrawn as select unnest($visitors::varchar[]) as visitor_id", {"visitors": visitors}
        )
        everything = _contents(copying)
        contents = everything | {
            table: f"{everything[table]} where visitor_id not in (from withdrawn)"
            for (table,) in copying.execute(VISITOR_TABLES).fetchall()
        }
        count = sum(
            count_rows(copying, f"({everything[table]})") - count_rows(copying, f"({contents[table]})")
            for table in contents
        )
        if count:
            _replace(copying, target, contents)
        return count


def _refuse_other_files(connection: Connection, target: Path) -> None:
    if target.stem in SCHEMAS:
        raise NextmartError(f"the published file can't be called '{target.name}': that is the name of a schema in it")
    found = connection.execute(WAREHOUSE_PATH).fetchone()
    if found and found[0] and target.exists() and target.samefile(found[0]):
        raise NextmartError(f"the published file can't be '{target}': that is the warehouse itself")


def _contents(connection: Connection) -> dict[str, str]:
    """Return the public tables by name, each with the query of its rows."""
    return {table: f"from recommendations.{quoted(table)}" for (table,) in connection.execute(PUBLIC_TABLES).fetchall()}


def _replace(connection: Connection, target: Path, contents: dict[str, str]) -> dict[str, int]:
    """Write tables to a new file and, once it is verified, put it in the place of ``target``; return their rows."""
    unfinished = target.with_name(f".{target.name}.unfinished")
    _remove(unfinished)  # a killed run's
    try:
        counts = _copy(connection, unfinished, contents)
        _add_macros(unfinished)
        _verify(unfinished, counts)
        _swap(unfinished, target)
    finally:
        _remove(unfinished)
    return counts


def _copy(connection: Connection, path: Path, contents: dict[str, str]) -> dict[str, int]:
    counts = {}
    connection.execute(f"attach {literal(str(path))} as published_copy")
    try:
        connection.execute("create schema published_copy.recommendations")
        for table, query in contents.items():
            copy = f"published_copy.recommendations.{quoted(table)}"
            connection.execute(f"create table {copy} as {query}")
            for column, comment in connection.execute(COMMENTS, {"table": table}).fetchall():
                what = f"column {copy}.{quoted(column)}" if column else f"table {copy}"
                connection.execute(f"comment on {what} is {literal(comment)}")
            counts[table] = count_rows(connection, f"({query})")
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
            found = count_rows(copy, f"recommendations.{quoted(table)}")
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
