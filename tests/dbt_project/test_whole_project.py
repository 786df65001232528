"""The dbt project as dbt alone sees it: on an empty warehouse, without jobs, and its documentation."""

import json
import os
import subprocess
import sys

import pytest

from jobs.warehouse import project_folder


@pytest.fixture(scope="module")
def dbt(tmp_path_factory):
    folder = tmp_path_factory.mktemp("empty")
    project = str(project_folder("dbt_project"))

    def call(*arguments):
        command = [
            sys.executable, "-c", "import sys; from dbt.cli.main import cli; sys.exit(cli())", *arguments,
            "--project-dir", project, "--profiles-dir", project,
            "--target-path", str(folder / "target"), "--log-path", str(folder / "logs"),
        ]  # fmt: skip
        environment = {**os.environ, "NEXTMART_WAREHOUSE": str(folder / "warehouse.duckdb")}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    call.target = folder / "target"
    return call


def test_the_sql_side_builds_on_an_empty_warehouse_and_passes_its_unit_tests(dbt):
    built = dbt("build", "--exclude", "tag:job")
    assert built.returncode == 0, built.stdout
    results = json.loads((dbt.target / "run_results.json").read_text())["results"]
    kinds = {result["unique_id"].split(".")[0] for result in results}
    assert {"model", "test", "unit_test"} <= kinds
    assert not [result["unique_id"] for result in results if result["status"] in ("error", "fail", "skipped")]


def test_documentation_is_generated_and_describes_every_model_and_public_column(dbt):
    generated = dbt("docs", "generate")
    assert generated.returncode == 0, generated.stdout
    nodes = json.loads((dbt.target / "manifest.json").read_text())["nodes"].values()
    models = [node for node in nodes if node["resource_type"] == "model"]
    assert len(models) >= 19
    assert not [model["name"] for model in models if not model["description"]]
    for model in models:
        if model["schema"] == "recommendations":
            assert model["contract"]["enforced"]
            assert all(column["description"] for column in model["columns"].values()), model["name"]


def test_a_wrong_sequence_scope_is_refused_by_name(dbt):
    refused = dbt("compile", "--select", "sequences", "--vars", "{sequence_scope: week}")
    assert refused.returncode != 0
    assert "sequence_scope is session, visitor or user, not week" in refused.stdout
