"""The data tests that hold the published rows of placements against the rules, each with a row that breaks its rule."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from harness import Warehouse

from jobs.orchestration.run_job import run_job
from jobs.settings import Settings

DAY = datetime(2026, 5, 1, 10, tzinfo=UTC)
PLACEMENTS = {
    "home": {
        "items": "price < 60 and country = visitor.country -- of the own country",
        "max_per": {"brand": 2},
        "k": 2,
    },
    "again": {"repeats": True, "exclude": {"event_types": ["purchase"], "days": 30}, "k": 12},
    "mail": {"visitors": "events > 1", "pins": {1: "i09"}, "slots": {2: "price > 80"}, "k": 4},
}
TESTS = ["placements_heed_conditions", "placements_heed_caps", "placements_leave_out_what_they_exclude",
         "placements_heed_pins_and_slots", "placements_say_their_lengths", "only_available_items"]  # fmt: skip


@pytest.fixture(scope="module")
def filled(tmp_path_factory, dbt_project) -> Warehouse:
    """A warehouse whose placements are filled, with popular items, and built as public tables."""
    folder = tmp_path_factory.mktemp("placements")
    warehouse = Warehouse(folder / "warehouse.duckdb", dbt_project)
    items = [
        {"item_id": f"i{number:02}", "title": f"Item {number}", "brand": f"b{number % 3}", "price": str(10 * number),
         "attributes": json.dumps({"country": "DE" if number % 2 else "FR"})}
        for number in range(1, 13)
    ]  # fmt: skip
    events = [
        {"event_id": f"e{number}", "visitor_id": f"v{number % 5}", "item_id": f"i{number % 12 + 1:02}",
         "event_type": "purchase" if number % 4 == 0 else "view",
         "event_at": f"{DAY + timedelta(minutes=number):%Y-%m-%d %H:%M:%S}"}
        for number in range(26)
    ]  # fmt: skip
    people = [
        {"visitor_id": f"v{number}", "attributes": json.dumps({"country": "DE" if number < 3 else "FR"})}
        for number in range(7)
    ]
    for table, rows in (("items", items), ("events", events), ("visitors", people)):
        warehouse.add(table, rows, "2026-06-01 00:00:00+00")
    warehouse.run("--exclude", "tag:job", select="staging intermediate sessions catalog public_items popular_items")
    warehouse.run(command="snapshot", select="item_history")
    with pytest.MonkeyPatch.context() as patch, warehouse.open() as connection:
        patch.chdir(folder)
        assert run_job("place", connection, Settings(placements=PLACEMENTS))["rows_out"]
    warehouse.run(select="similar_items visitor_recommendations placement_recommendations placement_lists")
    return warehouse


def failing_tests(warehouse: Warehouse) -> set[str]:
    """Return the tests of placements that fail."""
    try:
        warehouse.run(command="test", select=" ".join(TESTS))
    except AssertionError as error:
        lines = [line.partition(": ") for line in str(error).splitlines()]
        return {name for name, _, message in lines if name in TESTS and message != "None"}
    return set()


def test_lists_of_the_job_pass(filled):
    assert failing_tests(filled) == set()
    with filled.open() as connection:
        assert connection.execute(
            "select placement, count(distinct visitor_id), max(rank) from recommendations.placement_recommendations "
            "group by all order by all"
        ).fetchall() == [("again", 7, 12), ("home", 6, 2), ("mail", 5, 4)]


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ("update recommendations.placement_recommendations set item_id = 'i11' where placement = 'home' and rank = 1 "
         "and visitor_id = 'v5'", {"placements_heed_conditions"}),  # too dear, and of another country
        ("delete from recommendations.placement_lists where placement = 'mail' and visitor_id = 'v1'; "
         "delete from recommendations.placement_recommendations where placement = 'mail' and visitor_id = 'v1'",
         {"placements_heed_conditions"}),
        ("insert into recommendations.placement_lists select * replace ('v6' as visitor_id, 0 as length) "
         "from recommendations.placement_lists "
         "where placement = 'mail' and visitor_id = 'v1'", {"placements_heed_conditions"}),
        ("update ml.placement_rules set definition = '0' where rule = 'max_per'", {"placements_heed_caps"}),
        ("update ml.placement_rules set definition = 'view' where rule = 'exclude_event'",
         {"placements_leave_out_what_they_exclude"}),
        ("update recommendations.placement_recommendations set item_id = "
         "(select items[1] from sessions.latest_sequences where visitor_id = 'v0') "
         "where placement = 'mail' and rank = 4 and visitor_id = 'v0'",
         {"placements_leave_out_what_they_exclude"}),
        ("update recommendations.placement_recommendations set rank = [3, 2, 1, 4][rank] where placement = 'mail'",
         {"placements_heed_pins_and_slots"}),
        ("update recommendations.placement_recommendations set rank = [1, 3, 2, 4][rank] where placement = 'mail'",
         {"placements_heed_pins_and_slots"}),
        ("delete from recommendations.placement_recommendations where placement = 'home' and rank = 2",
         {"placements_say_their_lengths"}),
        ("update recommendations.placement_recommendations set item_id = 'gone' where placement = 'mail' and rank = 4",
         {"only_available_items"}),
    ],
)  # fmt: skip
def test_a_row_that_breaks_a_rule_fails_the_rules_test(filled, tmp_path, change, failing):
    broken = Warehouse(tmp_path / "warehouse.duckdb", filled.project)
    broken.path.write_bytes(filled.path.read_bytes())
    with broken.open() as connection:
        for statement in change.split("; "):
            connection.execute(statement)
    assert failing_tests(broken) == failing
