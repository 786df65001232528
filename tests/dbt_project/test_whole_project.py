"""The dbt project as dbt alone sees it: on an empty warehouse, without jobs, and its documentation."""

import pytest
from harness import DbtProject

from jobs.warehouse.columns import JOB_TABLES
from jobs.warehouse.connection import connect


@pytest.fixture(scope="module")
def project(dbt_project) -> DbtProject:
    return dbt_project.with_vars("{}")


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    return tmp_path_factory.mktemp("empty") / "warehouse.duckdb"


def test_the_sql_side_builds_on_an_empty_warehouse_and_passes_its_unit_tests(project, warehouse):
    results = project.invoke(warehouse, "build", "--exclude", "tag:job").results
    assert {"model", "test", "unit_test"} <= {result.node.resource_type for result in results}
    assert not [result.node.unique_id for result in results if result.status in ("error", "fail", "skipped")]
    with connect(warehouse, read_only=True) as connection:
        for table in ("recommendations.visitor_recommendations", "ml.job_runs"):
            assert connection.execute(f"select count(*) from {table}").fetchone() == (0,)


def test_documentation_describes_every_column_that_exists_and_no_other(project, warehouse):
    built = project.invoke(warehouse, "docs generate").nodes
    documented = {
        name: node for name, node in project.manifest.nodes.items() if node.resource_type in ("model", "snapshot")
    }
    # what jobs return is held against its documentation in tests/warehouse/test_columns.py
    assert {name for name, node in documented.items() if "job" not in node.tags} == set(built)
    assert not [name for name, node in documented.items() if not node.description]
    for name, table in built.items():
        columns = documented[name].columns
        assert set(columns) == set(table.columns), name
        assert not [column for column, about in columns.items() if not about.description], name
        if table.metadata.schema == "recommendations":
            assert documented[name].contract.enforced, name


def test_documentation_describes_every_raw_column(project):
    raw = {source.name: source for source in project.manifest.sources.values() if source.source_name == "raw"}
    assert set(raw) == {
        "events", "items", "visitors", "impressions", "unreadable_rows", "withdrawn_items", "loaded_files",
    }  # fmt: skip
    for name, source in raw.items():
        described = {column for column, about in source.columns.items() if about.description}
        assert described == set(JOB_TABLES[f"raw.{name}"]), name
        assert source.loaded_at_field == "loaded_at"


def test_a_wrong_sequence_scope_is_refused_by_name(project, warehouse):
    with pytest.raises(AssertionError, match="sequence_scope is session, visitor or user, not week"):
        project.with_vars("{sequence_scope: week}").invoke(warehouse, "compile", "--select", "sequences")
