"""`nextmart publish`: copy the public tables to a new DuckDB file, verify it, and replace the old file by a rename.

A reader that has the old file open keeps it, and a reader that opens the path afterwards gets the new file. No reader
ever sees an incomplete file. Since the file holds copies, analysts and the nightly build never wait for each other's
locks.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from jobs.errors import NextmartError
from jobs.files import project_folder, remove_database, replace_durably, unfinished_path
from jobs.publishing.publication_gate import judge_publication
from jobs.publishing.publication_history import PUBLIC_HISTORY
from jobs.publishing.publication_record import record_publication, record_publication_if_missing
from jobs.publishing.publication_totals import LIVE_MODEL_VERSION, sql_of_lists_with_arms
from jobs.publishing.published_file import (
    OwnerAndMode,
    creating_private_files,
    next_owner_and_mode,
    require_cleanly_closed,
    set_owner_and_mode,
    without_write_ahead_log,
)
from jobs.settings import Settings
from jobs.warehouse.clock import now
from jobs.warehouse.connection import SCHEMAS, Connection, count_rows, literal, quoted_name
from jobs.warehouse.job_runs import JobRun

PUBLIC_TABLES = """
    select table_name from information_schema.tables
    where table_catalog = current_database() and table_schema = 'recommendations'
    order by table_name
"""

COMMENTS = """
    -- Comments of a table's or view's columns, and the comment of the table or view itself, whose column_name is null
    select column_name, comment from duckdb_columns()
    where database_name = current_database() and schema_name = 'recommendations' and table_name = $table
        and comment is not null
    union all
    select null, comment from duckdb_tables()
    where database_name = current_database() and schema_name = 'recommendations' and table_name = $table
        and comment is not null
    union all
    select null, comment from duckdb_views()
    where database_name = current_database() and schema_name = 'recommendations' and view_name = $table
        and comment is not null
    order by all
"""

VISITOR_TABLES = """
    select table_name from duckdb_columns()
    where database_name = current_database() and schema_name = 'recommendations' and column_name = 'visitor_id'
"""

WAREHOUSE_PATH = "select path from duckdb_databases() where database_name = current_database()"


def publish(connection: Connection, settings: Settings, run_record: JobRun, *, allow_shrink: bool = False) -> None:
    """Publish the schema ``recommendations`` of the open warehouse as the file that the settings name.

    If the path is a symbolic link, the link stays, and the file behind it is replaced.

    Parameters
    ----------
    allow_shrink : bool
        Whether the new tables may hold much less than the live ones, or take the place of a file that can't be read.

    Raises
    ------
    NextmartError
        If there is nothing to publish, the file is the warehouse, is named like a schema, or is no file of nextmart's;
        if the copy lacks rows; or if the publication is held. Then the old file stays as it is. Also if the warehouse
        can't record the publication; the message says that the new file is in its place.
    """
    published_file = settings.published.resolve()
    _require_allowed_published_file(connection, published_file)
    record_publication_if_missing(connection, published_file)
    queries = _queries_of_public_tables(connection)
    if "visitor_recommendations" not in queries:
        raise NextmartError("there are no recommendation tables yet: run `nextmart run`")
    queries["publication"] = (
        f"select {literal(now().isoformat())}::timestamptz as published_at, "
        f"{literal(run_record.run_id)} as publish_run_id, "
        f"(select {LIVE_MODEL_VERSION} from {sql_of_lists_with_arms('recommendations.visitor_recommendations')}) "
        "as model_version"
    )
    queries["publication_changes"] = PUBLIC_HISTORY
    published_file.parent.mkdir(parents=True, exist_ok=True)
    owner_and_mode = next_owner_and_mode(published_file, settings.published_mode, settings.published_owner)
    change_row: dict[str, Any] = {}

    def judge_copy(copy_path: Path) -> None:
        change_row.update(judge_publication(connection, published_file, copy_path, run_record, settings, allow_shrink))

    counts = _replace_published_file(connection, published_file, queries, owner_and_mode, judge_copy)
    try:
        record_publication(connection, published_file, change_row)
    except (duckdb.Error, OSError) as error:
        raise NextmartError(
            f"{settings.published} is published, but the warehouse has no record of it: {error}\n"
            "Readers have the new tables. The next `nextmart publish` or `nextmart run` records them."
        ) from error
    for table in ("publication", "publication_changes"):
        del counts[table]
    run_record.rows_out = sum(counts.values())
    run_record.detail |= {"file": str(settings.published), "rows": counts}


def withdraw_visitors(connection: Connection, published_file: Path, visitor_ids: list[str]) -> int:
    """Delete the rows of ``visitor_ids`` from the published file; return how many rows were deleted.

    The published file is replaced by a copy of itself without these rows. It is not copied from the warehouse, whose
    tables may come from an unfinished nightly build. And it is not changed in place, because the bytes of deleted rows
    would stay in the file.
    """
    published_file = published_file.resolve()
    if not published_file.exists():
        return 0
    _require_allowed_published_file(connection, published_file)
    with without_write_ahead_log(published_file), duckdb.connect() as file_connection:
        file_connection.execute("set TimeZone = 'UTC'")
        file_connection.execute(f"attach {literal(str(published_file))} as published (read_only)")
        file_connection.execute("use published")
        file_connection.execute(
            "create temp table withdrawn as select unnest($visitors::varchar[]) as visitor_id",
            {"visitors": visitor_ids},
        )
        published_queries = _queries_of_public_tables(file_connection)
        remaining_queries = published_queries | {
            # a null would make the condition of every row null: only "not true" keeps the rows of all others
            table: f"{published_queries[table]} where (visitor_id in (from withdrawn)) is not true"
            for (table,) in file_connection.execute(VISITOR_TABLES).fetchall()
        }
        count = sum(
            count_rows(file_connection, f"({published_queries[table]})")
            - count_rows(file_connection, f"({remaining_queries[table]})")
            for table in published_queries
        )
        if count:
            _replace_published_file(
                file_connection, published_file, remaining_queries, next_owner_and_mode(published_file)
            )
        return count


def _require_allowed_published_file(connection: Connection, published_file: Path) -> None:
    """Raise NextmartError if the published file is named like a schema of nextmart, or is the warehouse itself."""
    if published_file.stem.lower() in SCHEMAS:
        raise NextmartError(
            f"the published file can't be called '{published_file.name}': that is the name of a schema in it"
        )
    warehouse = connection.execute(WAREHOUSE_PATH).fetchone()
    if warehouse and warehouse[0] and published_file.exists() and published_file.samefile(warehouse[0]):
        raise NextmartError(f"the published file can't be '{published_file}': that is the warehouse itself")


def _queries_of_public_tables(connection: Connection) -> dict[str, str]:
    """Return the query that selects the rows of each public table, by the table's name."""
    return {
        table: f"from recommendations.{quoted_name(table)}" for (table,) in connection.execute(PUBLIC_TABLES).fetchall()
    }


def _replace_published_file(
    connection: Connection,
    published_file: Path,
    query_by_table: dict[str, str],
    owner_and_mode: OwnerAndMode,
    judge_copy: Callable[[Path], None] | None = None,
) -> dict[str, int]:
    """Write tables to a new file, verify it, and rename it to ``published_file``; return the number of rows by table.

    Parameters
    ----------
    query_by_table : table -> SQL
        The query that gives the table's rows.
    owner_and_mode : OwnerAndMode
        The owner, group and mode that the new file gets.
    judge_copy : function, optional
        Is called with the path of the verified copy, before it is renamed. It raises an error if the copy must not be
        published, and may add rows to ``publication_changes``.
    """
    unfinished_file = unfinished_path(published_file)
    remove_database(unfinished_file)  # a publish that was killed may have left an unfinished file
    try:
        with creating_private_files():
            counts = _write_tables(connection, unfinished_file, query_by_table)
            _create_macros(unfinished_file)
            _verify_copy(unfinished_file, counts)
            if judge_copy:
                judge_copy(unfinished_file)
        set_owner_and_mode(unfinished_file, owner_and_mode)
        with without_write_ahead_log(published_file):
            replace_durably(unfinished_file, published_file)
    finally:
        remove_database(unfinished_file)
    return counts


def _write_tables(connection: Connection, path: Path, query_by_table: dict[str, str]) -> dict[str, int]:
    """Create the tables with their comments in the file at ``path``; return the number of rows by table."""
    counts = {}
    connection.execute(f"attach {literal(str(path))} as published_copy")
    try:
        connection.execute("create schema published_copy.recommendations")
        for table, query in query_by_table.items():
            copy = f"published_copy.recommendations.{quoted_name(table)}"
            connection.execute(f"create table {copy} as {query}")
            for column, comment in connection.execute(COMMENTS, {"table": table}).fetchall():
                commented = f"column {copy}.{quoted_name(column)}" if column else f"table {copy}"
                connection.execute(f"comment on {commented} is {literal(comment)}")
            counts[table] = count_rows(connection, f"({query})")
    finally:
        connection.execute("detach published_copy")
    return counts


def _create_macros(path: Path) -> None:
    """Create the macros of ``sql/macros`` in the file at ``path``.

    A macro is left out if the file lacks a table that the macro reads, as a file of an earlier version of nextmart may.
    """
    with duckdb.connect(str(path)) as copy:
        tables = {name for (name,) in copy.execute(PUBLIC_TABLES).fetchall()}
        for macro in sorted((project_folder("sql") / "macros").glob("*.sql")):
            statement = macro.read_text(encoding="utf-8")
            if tables.issuperset(re.findall(r"\brecommendations\.(\w+)", statement)):
                copy.execute(statement)
        copy.execute("checkpoint")


def _verify_copy(path: Path, expected_row_counts: dict[str, int]) -> None:
    """Raise NextmartError if the file at ``path`` was not closed cleanly, or a table lacks rows or has too many."""
    require_cleanly_closed(path)
    with duckdb.connect(str(path), read_only=True) as copy:
        for table, expected in expected_row_counts.items():
            count = count_rows(copy, f"recommendations.{quoted_name(table)}")
            if count != expected:
                raise NextmartError(f"the copy of {table} holds {count} rows, not {expected}; nothing was published")
