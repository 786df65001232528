"""Fixtures of the tests of dbt's SQL models."""

import pytest
from harness import DbtProject, Warehouse


@pytest.fixture(scope="session")
def dbt_project(tmp_path_factory) -> DbtProject:
    return DbtProject(tmp_path_factory.mktemp("dbt"))


@pytest.fixture
def warehouse(tmp_path, dbt_project) -> Warehouse:
    return Warehouse(tmp_path / "warehouse.duckdb", dbt_project)
