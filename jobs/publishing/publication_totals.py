"""Counts the rows of a published file, and measures how much its lists differ from those of another published file.

Both files are attached read-only to a database in memory, so that a broken file can't harm the warehouse. DuckDB does
all the work, and uses the disk where memory is too small.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from jobs.errors import NextmartError
from jobs.warehouse.connection import Connection, literal

COMPARISON_MEMORY_LIMIT: Final = "1GB"
"""The most memory that a comparison takes, because the warehouse is open too; DuckDB writes the rest to disk."""

TOTALS: Final = """
    select
        count(distinct visitor_id) as visitors,
        count(*) as list_rows,
        (select count(*) from {database}.recommendations.popular_items) as items,
        (select count(*) from {database}.recommendations.similar_items) as similar_item_rows,
        (select coalesce(sum(score), 0)::double from {database}.recommendations.popular_items) as popularity,
        (avg(score) filter (where {of_model}))::double as mean_score,
        {model_version} as model_version
    from {rows}
"""

VISITOR_DIFFERENCES: Final = """
    with live_lists as (
        select visitor_id, count(*) as length from live.recommendations.visitor_recommendations group by visitor_id
    ),
    new_lists as (
        select visitor_id, count(*) as length from fresh.recommendations.visitor_recommendations group by visitor_id
    ),
    shared_items as (
        select
            live_rows.visitor_id,
            count(*) as items,
            count(*) filter (where live_rows.rank = new_rows.rank) as items_in_place
        from live.recommendations.visitor_recommendations as live_rows
        inner join fresh.recommendations.visitor_recommendations as new_rows
            on live_rows.visitor_id = new_rows.visitor_id and live_rows.item_id = new_rows.item_id
        group by live_rows.visitor_id
    ),
    visitors as (
        -- overlap is null for a visitor who is new or gone
        select
            live_lists.visitor_id is null as is_new,
            new_lists.visitor_id is null as is_gone,
            coalesce(shared_items.items, 0) / greatest(live_lists.length, new_lists.length) as overlap,
            coalesce(shared_items.items_in_place, 0) < greatest(live_lists.length, new_lists.length) as is_changed
        from live_lists
        full join new_lists on live_lists.visitor_id = new_lists.visitor_id
        left join shared_items on live_lists.visitor_id = shared_items.visitor_id
    )
    select
        count(*) filter (where is_new) as new_visitors,
        count(*) filter (where is_gone) as gone_visitors,
        avg(is_changed::integer) filter (where not is_new and not is_gone) as changed_visitor_share,
        avg(overlap) filter (where not is_new and not is_gone) as mean_list_overlap
    from visitors
"""

ITEM_DIFFERENCES: Final = """
    select
        count(*) filter (where live_items.item_id is null) as new_items,
        count(*) filter (where new_items.item_id is null) as gone_items
    from live.recommendations.popular_items as live_items
    full join fresh.recommendations.popular_items as new_items on live_items.item_id = new_items.item_id
"""

LIVE_PUBLICATION: Final = "select publish_run_id, published_at from live.recommendations.publication"

SELECT_OWN_CHANGE: Final = """
    from {database}.recommendations.publication_changes
    where publish_run_id in (select publish_run_id from {database}.recommendations.publication)
"""

IS_OF_MODEL_ARM: Final = "coalesce(arm, 'model') = 'model'"
"""SQL condition that a row belongs to a list of the arm ``model``; the arm is null in tables of earlier versions."""

LIVE_MODEL_VERSION: Final = f"coalesce(max(model_version) filter (where {IS_OF_MODEL_ARM}), max(model_version))"
"""SQL for the live model's version in a table of lists; the control's version if the live model made no list."""


@dataclass(frozen=True)
class PublicationTotals:
    """Totals of a published file, named like columns of ``publication_changes``.

    Attributes
    ----------
    visitors, list_rows : int
        The numbers of visitors with a list, and of rows of all their lists.
    items, similar_item_rows : int
        The numbers of recommendable items, and of rows of similar items.
    popularity : float
        The sum of the scores of all popular items.
    mean_score : float or None
        The mean score of the rows of lists of the arm ``model``; None if there are no such rows.
    model_version : str or None
        The version of the live model; None if there are no lists.
    """

    visitors: int
    list_rows: int
    items: int
    similar_item_rows: int
    popularity: float
    mean_score: float | None
    model_version: str | None


@dataclass(frozen=True)
class PublicationDifferences:
    """Differences of a new file's lists and items from the live file's, named like columns of ``publication_changes``.

    Attributes
    ----------
    new_visitors, gone_visitors : int
        The numbers of visitors who have a list only in the new file, and only in the live file.
    changed_visitor_share : float or None
        The share of visitors with different lists among the visitors in both files; None if no visitor is in both.
    mean_list_overlap : float or None
        The share of items that a visitor's two lists have in common, on average over the visitors in both files.
    new_items, gone_items : int
        The numbers of recommendable items that only the new file has, and only the live file.
    """

    new_visitors: int
    gone_visitors: int
    changed_visitor_share: float | None
    mean_list_overlap: float | None
    new_items: int
    gone_items: int


@dataclass(frozen=True)
class LivePublication:
    """The publication in the live file: its run, time and totals, and the new file's differences from it."""

    publish_run_id: str
    published_at: datetime
    totals: PublicationTotals
    differences: PublicationDifferences


class UnreadablePublicationError(NextmartError):
    """A published file can't be read, because it is broken, or another process has it open for writing."""


def read_totals(published_file: Path) -> PublicationTotals:
    """Return the totals of a published file, counted in it by DuckDB."""
    with _database_with_new_file(new_file=published_file) as connection:
        return _query_totals(connection, "fresh")


def compare_with_live(live_file: Path, new_file: Path) -> LivePublication:
    """Compare a new file with the live published file.

    Raises
    ------
    UnreadablePublicationError
        If the live file can't be read.
    NextmartError
        If the live file is a database that nextmart hasn't published.
    """
    with _database_with_new_file(new_file=new_file) as connection:
        try:
            connection.execute(f"attach {literal(str(live_file))} as live (read_only)")
            _require_published_by_nextmart(connection, live_file)
            publication = _first_row(connection, LIVE_PUBLICATION)
            return LivePublication(
                publication["publish_run_id"],
                publication["published_at"],
                _query_totals(connection, "live"),
                PublicationDifferences(
                    **_first_row(connection, VISITOR_DIFFERENCES), **_first_row(connection, ITEM_DIFFERENCES)
                ),
            )
        except duckdb.Error as error:
            raise _unreadable_error(live_file, error) from error


def read_own_change_row(published_file: Path) -> dict[str, Any]:
    """Return the row of ``recommendations.publication_changes`` on the file's own publication, by column name.

    The row is empty if the file has no such table.

    Raises
    ------
    UnreadablePublicationError
        If the file can't be read.
    """
    try:
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.execute(f"attach {literal(str(published_file))} as live (read_only)")
            has_table = _has_live_table(connection, "publication") and _has_live_table(
                connection, "publication_changes"
            )
            return _first_row(connection, SELECT_OWN_CHANGE.format(database="live")) if has_table else {}
    except duckdb.Error as error:
        raise _unreadable_error(published_file, error) from error


def sql_of_lists_with_arms(table: str) -> str:
    """Return SQL that selects a table of lists; if it lacks the column ``arm``, the column is added with nulls."""
    return f"(from {table} union all by name select null::varchar as arm where false)"


def _query_totals(connection: Connection, database_name: str) -> PublicationTotals:
    rows = sql_of_lists_with_arms(f"{database_name}.recommendations.visitor_recommendations")
    query = TOTALS.format(database=database_name, of_model=IS_OF_MODEL_ARM, model_version=LIVE_MODEL_VERSION, rows=rows)
    return PublicationTotals(**_first_row(connection, query))


def _unreadable_error(file: Path, error: duckdb.Error) -> UnreadablePublicationError:
    return UnreadablePublicationError(f"{file} can't be read: {' '.join(str(error).split())}")


@contextmanager
def _database_with_new_file(new_file: Path) -> Iterator[Connection]:
    """Open a database in memory, with the file ``new_file`` attached read-only."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"set memory_limit = {literal(COMPARISON_MEMORY_LIMIT)}")
        connection.execute(f"set temp_directory = {literal(f'{new_file}.tmp')}")
        connection.execute(f"attach {literal(str(new_file))} as fresh (read_only)")
        yield connection


def _require_published_by_nextmart(connection: Connection, live_file: Path) -> None:
    if not _has_live_table(connection, "publication"):
        raise NextmartError(
            f"{live_file} is a database that nextmart hasn't published, so it stays as it is, and nothing was "
            "published. Move it away, or name another file: setting published, option --published."
        )


def _has_live_table(connection: Connection, table: str) -> bool:
    found = connection.execute(
        "select true from duckdb_tables() "
        "where database_name = 'live' and schema_name = 'recommendations' and table_name = ?",
        [table],
    ).fetchone()
    return found is not None


def _first_row(connection: Connection, query: str) -> dict[str, Any]:
    """Return the first row of a query, by column; an empty dictionary if there is no row."""
    result = connection.execute(query)
    columns = [column[0] for column in result.description or []]
    row = result.fetchone()
    return dict(zip(columns, row, strict=True)) if row else {}
