"""A full refresh of a copy of the warehouse must end with the tables that the nights made of the same raw rows."""

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
    "placement_recommendations": "select * exclude (model_version, generated_at) "
    "from {public}.placement_recommendations",
    "placement_lists": "select * exclude (model_version, generated_at) from {public}.placement_lists",
}

# a visitor whose sequence stays the same keeps a list that was filled up with the popular items of an earlier night
SELECT_LISTS = "from ({query}) where source <> 'popularity'"


def check_full_refresh(folder: Path, scratch: Path, command_runner: FaultyCommandRunner) -> None:
    """Build all tables of a copy anew, make all lists anew, and compare both warehouses and publications.

    Raises
    ------
    BrokenRule
        If the refresh fails, or a table differs.
    """
    copy = scratch / "refreshed"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in ("warehouse.duckdb", "warehouse.duckdb.wal", "nextmart.toml"):
        if (folder / name).exists():
            shutil.copy(folder / name, copy)
    with closing(duckdb.connect(str(copy / "warehouse.duckdb"))) as warehouse:
        warehouse.execute(DELETE_LISTS)
    result = command_runner.start(("run", "--full-refresh"), copy).wait()
    if result.exit_code:
        raise BrokenRule("a full refresh of the same rows succeeds", result)
    found, expected = _final_tables(folder), _final_tables(copy)
    for name in TABLES:
        if name != "wide":  # the rules for what is published hold it against the lists
            require_equal_rows(f"{name}: as a full refresh makes it", found[name], expected[name])
    shutil.rmtree(copy)


def _final_tables(folder: Path) -> dict[str, list[tuple]]:
    with closing(duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True)) as warehouse:
        warehouse.execute(f"attach '{folder / 'published.duckdb'}' as published (read_only); set TimeZone = 'UTC'")
        tables = {}
        for name, query in TABLES.items():
            sql = query.format(public="published.recommendations")
            tables[name] = warehouse.execute(
                SELECT_LISTS.format(query=sql) if name == "lists" else f"from ({sql})"
            ).fetchall()
        return tables
