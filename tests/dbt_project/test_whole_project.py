"""The dbt project as dbt alone sees it: on an empty warehouse, without jobs, and its documentation."""

import json
import os
import subprocess
import sys

import pytest

from jobs.files import project_folder
from jobs.warehouse.columns import JOB_TABLES
from jobs.warehouse.connection import connect

DBT = (
    "import sys; from quick_dbt import make_dbt_quick; from dbt.cli.main import cli; make_dbt_quick(); sys.exit(cli())"
)


@pytest.fixture(scope="module")
def dbt(tmp_path_factory):
    folder = tmp_path_factory.mktemp("empty")
    project = str(project_folder("dbt_project"))

    def call(*arguments):
        command = [
            sys.executable, "-c", DBT, *arguments,
            "--project-dir", project, "--profiles-dir", project,
            "--target-path", str(folder / "target"), "--log-path", str(folder / "logs"),
        ]  # fmt: skip
        paths = os.pathsep.join(filter(None, sys.path))
        environment = {**os.environ, "PYTHONPATH": paths, "NEXTMART_WAREHOUSE": str(call.warehouse)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    call.target = folder / "target"
    call.warehouse = folder / "warehouse.duckdb"
    return call


def test_the_sql_side_builds_on_an_empty_warehouse_and_passes_its_unit_tests(dbt):
    built = dbt("build", "--exclude", "tag:job")
    assert built.returncode == 0, built.stdout
    results = json.loads((dbt.target / "run_results.json").read_text())["results"]
    kinds = {result["unique_id"].split(".")[0] for result in results}
    assert {"model", "test", "unit_test"} <= kinds
    assert not [result["unique_id"] for result in results if result["status"] in ("error", "fail", "skipped")]
    with connect(dbt.warehouse, read_only=True) as connection:
        for table in ("recommendations.visitor_recommendations", "ml.job_runs"):
            assert connection.execute(f"select count(*) from {table}").fetchone() == (0,)


def test_documentation_describes_every_column_that_exists_and_no_other(dbt):
    generated = dbt("docs", "generate")
    assert generated.returncode == 0, generated.stdout
    manifest = json.loads((dbt.target / "manifest.json").read_text())
    built = json.loads((dbt.target / "catalog.json").read_text())["nodes"]
    documented = {
        name: node for name, node in manifest["nodes"].items() if node["resource_type"] in ("model", "snapshot")
    }
    # what jobs return is held against its documentation in tests/test_columns.py
    assert {name for name, node in documented.items() if "job" not in node["tags"]} == set(built)
    assert not [name for name, node in documented.items() if not node["description"]]
    for name, table in built.items():
        columns = documented[name]["columns"]
        assert set(columns) == set(table["columns"]), name
        assert not [column for column, about in columns.items() if not about["description"]], name
        if table["metadata"]["schema"] == "recommendations":
            assert documented[name]["contract"]["enforced"], name


def test_documentation_describes_every_raw_column(dbt):
    parsed = dbt("parse")
    assert parsed.returncode == 0, parsed.stdout
    manifest = json.loads((dbt.target / "manifest.json").read_text())
    raw = {source["name"]: source for source in manifest["sources"].values() if source["source_name"] == "raw"}
    assert set(raw) == {
        "events", "items", "visitors", "impressions", "unreadable_rows", "withdrawn_items", "loaded_files",
    }  # fmt: skip
    for name, source in raw.items():
        described = {column for column, about in source["columns"].items() if about["description"]}
        assert described == set(JOB_TABLES[f"raw.{name}"]), name
        assert source["loaded_at_field"] == "loaded_at"


def test_a_wrong_sequence_scope_is_refused_by_name(dbt):
    refused = dbt("compile", "--select", "sequences", "--vars", "{sequence_scope: week}")
    assert refused.returncode != 0
    assert "sequence_scope is session, visitor or user, not week" in refused.stdout
