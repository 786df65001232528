"""Checks that a full refresh makes the same tables from the raw rows as the nights have made step by step."""

import shutil
from contextlib import closing
from pathlib import Path

import duckdb

from benchmarks.chaos.broken_rule import BrokenRule, require_equal_rows
from benchmarks.chaos.faulty_commands import FaultyCommandRunner
from tests.end_to_end.final_tables import FINAL_TABLES

DELETE_LISTS = """
    delete from ml.recommendations;
    delete from ml.similar_items;
    delete from ml.placement_lists;
    delete from ml.placement_recommendations;
    delete from ml.job_runs where job = 'recommend';
"""

TABLES = FINAL_TABLES | {
    # without models whose rows `metrics_kept` has deleted after the publication
    "leaderboard": f"{FINAL_TABLES['leaderboard']} where model_version in (select model_version from ml.models)",
    "placement_recommendations": "select * exclude (model_version, generated_at) "
    "from {public}.placement_recommendations",
    "placement_lists": "select * exclude (model_version, generated_at) from {public}.placement_lists",
}

# Rows with popular items are not compared, because a visitor without new events keeps an older list, which the popular
# items of an earlier night fill up.
SELECT_LISTS = "from ({query}) where source <> 'popularity'"


def check_full_refresh(shop_folder: Path, scratch_folder: Path, command_runner: FaultyCommandRunner) -> None:
    """Rebuild all tables and lists in a copy of the warehouse, and compare tables and published lists with the shop's.

    Raises
    ------
    BrokenRule
        If the refresh fails, or a table differs.
    """
    copy = scratch_folder / "refreshed"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in ("warehouse.duckdb", "warehouse.duckdb.wal", "nextmart.toml"):
        if (shop_folder / name).exists():
            shutil.copy(shop_folder / name, copy)
    with closing(duckdb.connect(str(copy / "warehouse.duckdb"))) as connection:
        connection.execute(DELETE_LISTS)
    result = command_runner.start(("run", "--full-refresh"), copy).wait()
    if result.exit_code:
        raise BrokenRule("a full refresh of the same rows succeeds", result)
    found, expected = _rows_by_final_table(shop_folder), _rows_by_final_table(copy)
    for name in TABLES:
        if name != "wide":  # check_publication_with_warehouse compares this table with the lists
            require_equal_rows(f"{name}: as a full refresh makes it", found[name], expected[name])
    shutil.rmtree(copy)


def has_texts_without_vector(shop_folder: Path) -> bool:
    """Tell whether some items of a shop wait for the vector of their text."""
    with closing(duckdb.connect(str(shop_folder / "warehouse.duckdb"), read_only=True)) as connection:
        return bool(connection.execute("from catalog.embedding_backlog limit 1").fetchall())


def _rows_by_final_table(folder: Path) -> dict[str, list[tuple]]:
    with closing(duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True)) as connection:
        connection.execute(f"attach '{folder / 'published.duckdb'}' as published (read_only); set TimeZone = 'UTC'")
        tables = {}
        for name, query in TABLES.items():
            sql = query.format(public="published.recommendations")
            tables[name] = connection.execute(
                SELECT_LISTS.format(query=sql) if name == "lists" else f"from ({sql})"
            ).fetchall()
        return tables
