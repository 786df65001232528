"""The dbt project as a package in somebody's own dbt project, whose models read the public tables."""

import os
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import yaml
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

from jobs.commands.demo_shop import make_demo_shop
from jobs.files import project_folder
from jobs.warehouse.connection import connect, prepare_warehouse

FILES = {
    "dbt_project.yml": {
        "name": "my_shop",
        "profile": "my_shop",
        "models": {"my_shop": {"+schema": "marts"}},
        "vars": {"nextmart": {"recommendations_per_visitor": 5}},
    },
    "packages.yml": {"packages": [{"local": str(project_folder("dbt_project"))}]},
    "profiles.yml": {
        "my_shop": {
            "target": "dev",
            "outputs": {
                "dev": {
                    "type": "duckdb",
                    "path": "shop.duckdb",
                    "plugins": [{"module": "jobs.orchestration.dbt_plugin"}],
                }
            },
        }
    },
}
MODEL = """
    select visitor_id, list(title order by rank) as titles
    from {{ ref('visitor_recommendations') }}
    group by visitor_id
"""


def make_project(folder: Path) -> None:
    """Write a dbt project with one model, and the warehouse of a small shop."""
    for name, content in FILES.items():
        (folder / name).write_text(yaml.safe_dump(content))
    (folder / "nextmart.toml").write_text('warehouse = "shop.duckdb"\nmodels = ["popularity"]\n')
    (folder / "models").mkdir()
    (folder / "models/visitors_to_mail.sql").write_text(MODEL)
    with connect(folder / "shop.duckdb") as connection:
        prepare_warehouse(connection)
        make_demo_shop(
            connection, visitor_count=30, item_count=50, seed=0, history_end=datetime(2026, 1, 1, tzinfo=UTC)
        )


def test_a_model_of_the_own_project_reads_the_lists_that_the_package_makes(tmp_path, monkeypatch):
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    with patch.dict(os.environ, DO_NOT_TRACK="1"):
        try:
            for arguments in (["deps"], ["run", "--profiles-dir", ".", "--select", "+visitors_to_mail"]):
                done = dbtRunner().invoke(["--quiet", *arguments])
                assert done.success, done.exception or [result.message for result in done.result]
        finally:
            DuckDBConnectionManager.close_all_connections()
    with connect(tmp_path / "shop.duckdb", read_only=True) as connection:
        lengths = connection.execute("select distinct len(titles) from main_marts.visitors_to_mail").fetchall()
        [(visitors, most)] = connection.execute(
            "select count(distinct visitor_id), max(rank) from recommendations.visitor_recommendations"
        ).fetchall()
    assert lengths == [(5,)]  # the own project's var holds
    assert (visitors > 20, most) == (True, 5)
