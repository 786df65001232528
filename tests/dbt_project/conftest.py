"""Fixtures of the tests of dbt's SQL models."""

import shutil
from pathlib import Path

import pytest
from filelock import FileLock
from harness import DbtProject, Warehouse


@pytest.fixture(scope="session")
def dbt_project(tmp_path_factory, shared_folder) -> DbtProject:
    """The project; some cases are all rejected."""
    return _parsed_once("{max_rejected_share: 1}", tmp_path_factory.mktemp("dbt"), shared_folder / "parse_of_project")


@pytest.fixture(scope="session")
def strict_project(tmp_path_factory, shared_folder) -> DbtProject:
    """The project with limits that stop a build; dbt reads what a test tolerates when it parses."""
    limits = "{late_sessions_error_percent: 10, freshness_error_days: 2, backlog_error_percent: 50}"
    return _parsed_once(limits, tmp_path_factory.mktemp("strict"), shared_folder / "parse_of_strict_project")


def _parsed_once(variables: str, folder: Path, parse: Path) -> DbtProject:
    """Return the project, which one process of this test session parses, and the other processes read."""
    with FileLock(f"{parse}.lock"):
        is_parsed = parse.exists()
        project = DbtProject(folder, variables, parse if is_parsed else None)
        if not is_parsed:
            shutil.copy(project.parse, parse)
    return project


@pytest.fixture
def warehouse(tmp_path, dbt_project) -> Warehouse:
    return Warehouse(tmp_path / "warehouse.duckdb", dbt_project)
