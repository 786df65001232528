"""Fixtures of the tests of dbt's SQL models."""

import shutil

import pytest
from filelock import FileLock
from harness import DbtProject, Warehouse


@pytest.fixture(scope="session")
def dbt_project(tmp_path_factory, shared_folder) -> DbtProject:
    """The project, which one process of this test session parses, and the other processes read."""
    parse = shared_folder / "parse_of_dbt_project.msgpack"
    with FileLock(f"{parse}.lock"):
        is_parsed = parse.exists()
        project = DbtProject(tmp_path_factory.mktemp("dbt"), parse=parse if is_parsed else None)
        if not is_parsed:
            shutil.copy(project.parse, parse)
    return project


@pytest.fixture
def warehouse(tmp_path, dbt_project) -> Warehouse:
    return Warehouse(tmp_path / "warehouse.duckdb", dbt_project)
