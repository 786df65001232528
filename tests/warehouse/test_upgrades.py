"""Warehouses of earlier versions are upgraded step by step; a newer one, and what dbt must build anew, is refused."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from jobs.errors import NextmartError
from jobs.warehouse import schema
from jobs.warehouse.connection import connect, prepare_warehouse
from jobs.warehouse.dbt_tables import outdated_tables, require_current_columns

FOLDER = Path(__file__).with_name("earlier_warehouses")
EARLIER = ["first_night", "sessions", "champions"]

SHAPE = """
    select table_schema || '.' || table_name as relation, column_name, data_type, is_nullable
    from information_schema.columns
    where table_catalog = current_database() and table_schema in ('raw', 'ml')
    order by all
"""
CONSTRAINTS = """
    select schema_name || '.' || table_name as relation, constraint_text from duckdb_constraints()
    where database_name = current_database() and schema_name in ('raw', 'ml') and constraint_type = 'PRIMARY KEY'
    order by all
"""


def earlier_warehouse(name: str, folder: Path) -> duckdb.DuckDBPyConnection:
    connection = connect(folder / "warehouse.duckdb")  # its views name the database
    connection.execute((FOLDER / f"{name}.sql").read_text())
    return connection


def shape(connection: duckdb.DuckDBPyConnection) -> list[list[tuple]]:
    return [connection.execute(query).fetchall() for query in (SHAPE, CONSTRAINTS)]


def all_rows(connection: duckdb.DuckDBPyConnection, tables: dict[str, list[str]]) -> dict[str, list[tuple]]:
    return {
        table: connection.execute(f"select {', '.join(columns)} from {table} order by all").fetchall()
        for table, columns in tables.items()
    }


@pytest.fixture(scope="module")
def fresh_shape():
    with duckdb.connect() as connection:
        prepare_warehouse(connection)
        return shape(connection)


@pytest.mark.parametrize("name", EARLIER)
def test_an_earlier_warehouse_gets_the_present_shape_and_keeps_every_row(name, tmp_path, fresh_shape):
    with earlier_warehouse(name, tmp_path) as connection:
        columns = connection.execute(
            "select table_schema || '.' || table_name, list(column_name) from information_schema.columns "
            "where table_schema in ('raw', 'ml', 'staging', 'sessions', 'catalog') and "
            "table_schema || '.' || table_name in (select schema_name || '.' || table_name from duckdb_tables()) "
            "group by all"
        ).fetchall()
        tables = dict(columns)
        before = all_rows(connection, tables)
        assert before["raw.events"]
        assert before["ml.embeddings"]
        prepare_warehouse(connection)
        assert shape(connection) == fresh_shape
        assert all_rows(connection, tables) == before
        versions = connection.execute("select version from ml.schema_versions order by version").fetchall()
        assert versions == [(step.version,) for step in schema.all_migrations()]


def test_a_fresh_warehouse_has_the_newest_version_alone():
    with duckdb.connect() as connection:
        prepare_warehouse(connection)
        [(version, full_refresh_reason)] = connection.execute(
            "select version, full_refresh_reason from ml.schema_versions"
        ).fetchall()
        assert (version, full_refresh_reason) == (schema.newest_version(), None)


def test_steps_are_numbered_without_a_gap():
    assert [step.version for step in schema.all_migrations()] == list(range(1, schema.newest_version() + 1))


def test_a_killed_step_is_run_again(tmp_path, fresh_shape):
    path = tmp_path / "warehouse.duckdb"
    earlier_warehouse("first_night", tmp_path).close()
    code = f"""
import os
from pathlib import Path
from jobs.warehouse import schema
from jobs.warehouse.connection import connect, prepare_warehouse
schema._record_version = lambda connection, step, reason: os._exit(9)
prepare_warehouse(connect(Path({str(path)!r})))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 9
    with connect(path) as connection:
        assert ("sequence_hash",) not in connection.execute("select column_name from duckdb_columns()").fetchall()
        prepare_warehouse(connection)
        assert shape(connection) == fresh_shape


def test_a_warehouse_of_a_newer_version_is_refused_and_stays():
    with duckdb.connect() as connection:
        prepare_warehouse(connection)
        connection.execute("insert into ml.schema_versions values (999, 'later', now(), '7.8.9', null, null)")
        says = r"schema version 999, of nextmart 7\.8\.9.*Install nextmart 7\.8\.9"
        for refuse in (prepare_warehouse, schema.require_current_version):
            with pytest.raises(NextmartError, match=says):
                refuse(connection)


def test_reading_an_earlier_warehouse_says_what_upgrades_it(tmp_path):
    with earlier_warehouse("champions", tmp_path) as connection:
        with pytest.raises(NextmartError, match=r"earlier version of nextmart.*`nextmart maintain` upgrades it"):
            schema.require_current_version(connection)
        prepare_warehouse(connection)
        schema.require_current_version(connection)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("first_night", r"staging\.checked_events lacks .*built_at.*nextmart run --full-refresh"),
        ("sessions", r"staging\.checked_events lacks .*built_at.*nextmart run --full-refresh"),
    ],
)
def test_tables_that_dbt_must_build_anew_are_named_with_the_command(name, says, tmp_path):
    with earlier_warehouse(name, tmp_path) as connection, pytest.raises(NextmartError, match=says):
        require_current_columns(connection)


def test_tables_with_the_columns_of_now_need_no_full_refresh(tmp_path):
    with earlier_warehouse("champions", tmp_path) as connection:
        assert outdated_tables(connection) == {}


def test_rows_with_an_old_meaning_are_said_until_a_full_refresh(tmp_path):
    with earlier_warehouse("champions", tmp_path) as connection:
        prepare_warehouse(connection)
        [reason] = schema.full_refresh_reasons(connection)
        assert "former reading" in reason
        schema.record_full_refresh(connection)
        assert schema.full_refresh_reasons(connection) == []
