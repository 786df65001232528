"""dbt's tests of arms find a list of the wrong arm, warn of a lopsided share, and pass where all is right."""

import json

import pytest
from harness import Warehouse

from jobs.arm_settings import ArmsSettings
from jobs.nightly.arms import arm_sql

ARMS = ArmsSettings(control=0.3, salt="it's")
LISTS = """
    insert into ml.job_runs (run_id, job, started_at, status, run_number, detail)
    values ('r', 'recommend', now(), 'done', 1, $detail);
    insert into ml.recommendations by name
    select 'r' as run_id, 'm-1' as model_version, visitor_id, 0 as sequence_hash, 1 as rank, 'lamp' as item_id,
        0.5 as score, 'sasrec' as source, now() as generated_at, {arm} as arm
    from (select 'v' || number as visitor_id from range(300) as numbers (number));
    insert into ml.placement_recommendations by name
    select 'home' as placement, visitor_id, rank, item_id, score, source from ml.recommendations;
    insert into ml.placement_lists by name
    select 'home' as placement, visitor_id, 1 as k, 1 as length, 'm-1' as model_version, 0 as list_hash, run_id,
        generated_at, arm
    from ml.recommendations;
"""
TESTS = "arms_are_those_of_the_hash arms_have_their_shares one_model_version_an_arm"


@pytest.fixture(scope="module")
def filled(tmp_path_factory, dbt_project) -> Warehouse:
    warehouse = Warehouse(tmp_path_factory.mktemp("arms") / "warehouse.duckdb", dbt_project)
    with warehouse.open() as connection:
        detail = json.dumps({"arms": {"control": ARMS.control, "salt": ARMS.salt}})
        for statement in connection.extract_statements(LISTS.format(arm=arm_sql(ARMS))):
            connection.execute(statement.query, {"detail": detail} if "$detail" in statement.query else None)
    warehouse.run(
        select="stg_items stg_visitors attribute_types items visitor_recommendations placement_recommendations"
    )
    return warehouse


def results(warehouse: Warehouse) -> dict[str, str]:
    """Return the tests' statuses by name."""
    try:
        outcome = warehouse.run(command="test", select=TESTS).results
    except AssertionError as error:
        return {line.partition(":")[0]: "fail" for line in str(error).splitlines() if "Got " in line}
    return {result.node.name: str(result.status) for result in outcome if result.node.name in TESTS.split()}


def test_right_arms_pass_and_wrong_ones_are_found(filled):
    assert results(filled) == dict.fromkeys(TESTS.split(), "pass")
    with filled.open() as connection:
        connection.execute(
            "update recommendations.placement_recommendations set arm = if(arm = 'model', 'control', 'model') "
            "where visitor_id = 'v7'"
        )
    assert results(filled) == {"arms_are_those_of_the_hash": "fail"}
    with filled.open() as connection:
        connection.execute("delete from recommendations.placement_recommendations where visitor_id = 'v7'")
        connection.execute(
            "update recommendations.visitor_recommendations set model_version = 'm-2' where arm = 'control'"
        )
        connection.execute(
            # a third of the control has lost its lists
            "delete from recommendations.visitor_recommendations where arm = 'control' and hash(visitor_id) % 2 = 0"
        )
    assert results(filled) == {
        "arms_are_those_of_the_hash": "pass", "arms_have_their_shares": "warn", "one_model_version_an_arm": "pass",
    }  # fmt: skip
