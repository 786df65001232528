"""One report, on one warehouse, for all tests of a module."""

from pathlib import Path

import pytest
from report_warehouse import make_warehouse

from jobs.reporting.report import write_report
from jobs.settings import Settings


@pytest.fixture(scope="session")
def report_file(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    warehouse = make_warehouse(folder / "warehouse.duckdb")
    settings = Settings(warehouse=warehouse, published=folder / "published.duckdb")
    file = folder / "pages" / "report.html"
    write_report(settings, file)
    return file
