"""Lists where purchases are the targets: dbt's tests let them hold what was viewed, and nothing that was bought."""

import pytest
from harness import Warehouse

from jobs.orchestration.run_job import run_job
from jobs.settings import Settings

TARGETS = "--vars", "{max_rejected_share: 1, target_event_types: [purchase]}"
TESTS = ["no_item_of_the_own_sequence", "lists_are_full", "placements_leave_out_what_they_exclude",
         "placement_lists_are_filled", "valid_sequences", "valid_latest_sequences"]  # fmt: skip
# ann views all four items, and buys the lamp and the mug
EVENTS = ["lamp view", "lamp purchase", "mug view", "vase view", "desk view", "mug purchase", "mug view"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory, dbt_project) -> Warehouse:
    folder = tmp_path_factory.mktemp("targets")
    warehouse = Warehouse(folder / "warehouse.duckdb", dbt_project)
    warehouse.add("items", [{"item_id": name} for name in ("lamp", "mug", "vase", "desk")], "2026-06-01 00:00:00+00")
    events = [
        {"event_id": f"e{minute}", "visitor_id": "ann", "item_id": event.split()[0], "event_type": event.split()[1],
         "event_at": f"2026-05-01 10:{minute:02}:00"}
        for minute, event in enumerate(EVENTS)
    ]  # fmt: skip
    warehouse.add("events", events, "2026-06-01 00:00:00+00")
    models = "staging intermediate sessions catalog public_items popular_items"
    warehouse.run("--exclude", "tag:job", *TARGETS, select=models)
    warehouse.run(command="snapshot", select="item_history")
    settings = Settings(vars={"target_event_types": ["purchase"]}, placements={"home": {"k": 4}})
    with pytest.MonkeyPatch.context() as patch, warehouse.open() as connection:
        patch.chdir(folder)
        assert run_job("recommend", connection, settings)["rows_out"] == 2
        assert run_job("place", connection, settings)["rows_out"] == 2
    tables = "similar_items visitor_recommendations placement_recommendations placement_lists"
    warehouse.run(*TARGETS, select=tables)
    return warehouse


def failing_tests(warehouse: Warehouse, *options: str) -> set[str]:
    try:
        warehouse.run(*options, command="test", select=" ".join(TESTS))
    except AssertionError as error:
        return {line.partition(": ")[0] for line in str(error).splitlines()[1:]}
    return set()


def test_the_views_say_which_steps_are_targets(shop):
    steps = "[lamp, lamp, mug, vase, desk, mug]", "[false, true, false, false, false, true]"
    for table in ("sessions.sequences", "sessions.latest_sequences"):
        assert shop.rows(table, ["items", "is_target"]) == [steps]


def test_lists_hold_what_was_viewed_alone_and_dbts_tests_pass(shop):
    for table in ("visitor_recommendations", "placement_recommendations"):
        assert shop.rows(f"recommendations.{table}", ["item_id"]) == [("desk",), ("vase",)]
    assert failing_tests(shop, *TARGETS) == set()
    # if every event were a target, these items would be none to recommend
    assert failing_tests(shop) == {"no_item_of_the_own_sequence", "placements_leave_out_what_they_exclude"}


def test_an_item_that_was_bought_fails_dbts_tests(shop, tmp_path):
    broken = Warehouse(tmp_path / "warehouse.duckdb", shop.project)
    broken.path.write_bytes(shop.path.read_bytes())
    with broken.open() as connection:
        for table in ("visitor_recommendations", "placement_recommendations"):
            connection.execute(f"update recommendations.{table} set item_id = 'mug' where rank = 2")
    found = failing_tests(broken, *TARGETS)
    assert {"no_item_of_the_own_sequence", "placements_leave_out_what_they_exclude"} <= found


def test_a_list_that_leaves_out_what_was_viewed_is_too_short(shop, tmp_path):
    broken = Warehouse(tmp_path / "warehouse.duckdb", shop.project)
    broken.path.write_bytes(shop.path.read_bytes())
    with broken.open() as connection:
        connection.execute("delete from recommendations.visitor_recommendations where rank = 2")
    assert failing_tests(broken, *TARGETS) == {"lists_are_full"}
