"""The columns in jobs/warehouse/columns.py, in the DDL and in the dbt contracts are the same."""

import duckdb
import pytest
import yaml

from jobs.dbt_vars import JobVars, default_vars
from jobs.files import project_folder
from jobs.nightly.model_store import all_models
from jobs.warehouse import columns
from jobs.warehouse.clock import now
from jobs.warehouse.connection import prepare_warehouse
from jobs.warehouse.job_runs import JobRun


def contracts():
    path = project_folder("dbt_project") / "models" / "recommendations" / "_recommendations__models.yml"
    return {
        model["name"]: {column["name"]: column["data_type"] for column in model["columns"]}
        for model in yaml.safe_load(path.read_text())["models"]
    }


@pytest.mark.parametrize("table", columns.JOB_TABLES)
def test_ddl_makes_the_columns_that_python_names(table):
    with duckdb.connect() as connection:
        prepare_warehouse(connection)
        described = connection.execute(f"describe {table}").fetchall()
    assert {name: kind for name, kind, *_ in described} == columns.JOB_TABLES[table]


def test_preparing_twice_changes_nothing():
    with duckdb.connect() as connection:
        prepare_warehouse(connection)
        connection.execute("insert into ml.job_runs (run_id, job, started_at, status) values ('r', 'j', now(), 'done')")
        prepare_warehouse(connection)
        assert connection.execute("select count(*) from ml.job_runs").fetchone() == (1,)


def test_a_warehouse_of_before_gets_the_columns_added_since():
    with duckdb.connect() as connection:
        prepare_warehouse(connection)
        connection.execute("alter table ml.models drop column schema_version; drop table ml.schema_versions")
        connection.execute(
            "insert into ml.models by name select 'm' as model_version, 'popularity' as model, '{}' as parameters, "
            "'f' as fingerprint, 1 as training_rows, 0 as seed, now() as started_at, now() as finished_at, "
            "'live' as status, '1' as code_version"
        )
        prepare_warehouse(connection)
        assert [(row.model_version, row.format_version) for row in all_models(connection)] == [("m", None)]


def test_a_users_own_view_stands_in_for_a_raw_table():
    with duckdb.connect() as connection:
        connection.execute("create schema raw; create view raw.events as select 'e' as event_id")
        prepare_warehouse(connection)
        assert connection.execute("select event_id from raw.events").fetchall() == [("e",)]
        assert connection.execute("select count(*) from raw.items").fetchone() == (0,)


def test_a_users_own_view_of_the_catalogue_stays_without_the_columns_added_since():
    with duckdb.connect() as connection:
        connection.execute("create schema raw; create view raw.items as select 'a' as item_id")
        connection.execute("create view raw.visitors as select 'v' as visitor_id")
        for _ in range(2):
            prepare_warehouse(connection)
        assert connection.execute("from raw.items positional join raw.visitors").fetchall() == [("a", "v")]
        assert connection.execute("select count(*) from raw.loaded_files").fetchone() == (0,)


@pytest.mark.parametrize(
    ("public", "stored", "added"),
    [
        ("visitor_recommendations", columns.RECOMMENDATIONS, {"title", "reason", "model"}),
        ("similar_items", columns.SIMILAR_ITEMS, {"title", "similar_title"}),
        (
            "model_leaderboard",
            columns.MODEL_METRICS,
            {
                "model",
                "is_live",
                "is_pinned",
                "decision",
                "difference",
                "difference_low",
                "difference_high",
                "training_rows",
                "training_sequences",
            },
        ),
    ],
)
def test_contracts_use_the_names_and_types_of_the_tables_they_show(public, stored, added):
    contract = contracts()[public]
    assert set(contract) - set(stored) == added
    for name, kind in contract.items():
        assert name in added or kind.upper() == stored[name], name


def test_the_wide_table_has_twenty_items():
    assert [name for name in contracts()["visitor_recommendations_wide"] if name.startswith("item_")] == [
        f"item_{rank}" for rank in range(1, 21)
    ]


def test_every_var_that_jobs_read_is_a_dbt_var_and_reaches_the_job_models():
    path = project_folder("dbt_project") / "models" / "jobs" / "_jobs__models.yml"
    for model in yaml.safe_load(path.read_text())["models"]:
        assert set(model["config"]["meta"]) == set(JobVars.model_fields) <= set(default_vars())


def test_what_jobs_return_is_documented_column_by_column():
    path = project_folder("dbt_project") / "models" / "jobs" / "_jobs__models.yml"
    returned = set(JobRun("run", "job", now()).as_dictionary())
    for model in yaml.safe_load(path.read_text())["models"]:
        assert {column["name"] for column in model["columns"] if column["description"]} == returned
