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
    "dear": {"boost": "price", "k": 4},
    "bare": {"fallback": "none", "k": 3},
    "varied": {"diversity": 0.9, "repeats": True, "k": 6},
}
TESTS = ["placements_heed_conditions", "placements_heed_caps", "placements_leave_out_what_they_exclude",
         "placements_heed_pins_and_slots", "placements_say_their_lengths", "only_available_items"]  # fmt: skip
TESTS_OF_WHOLE_LISTS = [
    "placements_label_fallback",
    "placement_lists_are_filled",
    "placements_heed_boost_and_diversity",
]
# items of one brand have the same vector
VECTORS = """
    drop view catalog.item_embeddings;
    create table catalog.item_embeddings as
    select
        item_id, [(place = brand[-1]::integer)::integer::float for place in range(384)]::float[384] as embedding,
        item_id as text_hash
    from catalog.items
"""


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
        for statement in VECTORS.split(";"):
            connection.execute(statement)
        assert run_job("place", connection, Settings(placements=PLACEMENTS))["rows_out"]
    warehouse.run(select="similar_items visitor_recommendations placement_recommendations placement_lists")
    return warehouse


def failing_tests(warehouse: Warehouse, tests: list[str]) -> set[str]:
    """Return those of some tests that fail."""
    try:
        warehouse.run(command="test", select=" ".join(tests))
    except AssertionError as error:
        lines = [line.partition(": ") for line in str(error).splitlines()]
        return {name for name, _, message in lines if name in tests and message != "None"}
    return set()


def test_lists_of_the_job_pass(filled):
    assert failing_tests(filled, [*TESTS, *TESTS_OF_WHOLE_LISTS]) == set()
    with filled.open() as connection:
        assert connection.execute(
            "select placement, count(distinct visitor_id), max(rank) from recommendations.placement_recommendations "
            "group by all order by all"
        ).fetchall() == [("again", 7, 12), ("dear", 7, 4), ("home", 6, 2), ("mail", 5, 4), ("varied", 7, 6)]


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
    assert failing_tests(broken, TESTS) == failing


ROWS = "recommendations.placement_recommendations"
# each change is of another list, and breaks what one test looks at, so that one run of the tests shows all of them
BROKEN_LISTS = {
    "placements_label_fallback": {
        ("home", "v0"): f"update {ROWS} set source = 'sasrec' where {{list}}",  # that model didn't make the list
        ("mail", "v0"): f"update {ROWS} set source = 'pin' where rank = 4 and {{list}}",  # the pin is another item
        ("again", "v2"): f"update {ROWS} set model_version = 'sasrec-1', source = if(rank = 1, 'popularity', 'sasrec') "
                         "where {list}",
        ("bare", "v0"): f"insert into {ROWS} select * replace ('bare' as placement, 'sasrec-1' as model_version) "
                        f"from {ROWS} where placement = 'dear' and visitor_id = 'v0' and rank = 1",
    },
    "placement_lists_are_filled": {
        ("home", "v1"): f"delete from {ROWS} where rank = 2 and {{list}}",
        ("again", "v5"): f"delete from {ROWS} where rank > 5 and {{list}}",
    },
    "placements_heed_boost_and_diversity": {
        ("again", "v1"): f"update {ROWS} set score = 100 + rank where {{list}}",
        ("dear", "v2"): f"update {ROWS} set score = 100 + rank, item_id = ['i01', 'i02', 'i03', 'i04'][rank] "
                        "where {list}",
        ("varied", "v3"): f"update {ROWS} set score = 100 + rank where {{list}}",
    },
}  # fmt: skip
# what no test may take for a fault: a lower score stands first where the boost is larger, or the item is less alike;
# popular items that fill up a list of the family popularity have other scores than those of the model
SOUND_LISTS = {
    ("dear", "v3"): f"update {ROWS} set score = 100 + rank, item_id = ['i12', 'i11', 'i10', 'i09'][rank] "
                    "where {list}",
    ("varied", "v4"): f"update {ROWS} set score = [10, 5, 8, 7, 6, 5][rank], "
                      "item_id = ['i01', 'i02', 'i04', 'i03', 'i05', 'i06'][rank] where {list}",
    ("again", "v4"): f"update {ROWS} set score = 100 + rank, model_version = 'popularity-1' where {{list}};"
                     "update recommendations.placement_lists set model_version = 'popularity-1' where {list}",
}  # fmt: skip
MODEL_OF_LISTS = """
    insert into ml.models by name select
        unnest(['sasrec-1', 'popularity-1']) as model_version, unnest(['sasrec', 'popularity']) as model,
        '{}' as parameters, '' as fingerprint, 0 as training_rows, 0 as seed, now() as started_at,
        now() as finished_at, 'live' as status, '' as code_version
"""
COUNT_MISSING = f"""
    update recommendations.placement_lists as lists set length = counts.length, missing = k - counts.length
    from (select placement, visitor_id, count(*)::integer as length from {ROWS} group by all) as counts
    where lists.placement = counts.placement and lists.visitor_id = counts.visitor_id
"""


def test_boost_diversity_and_fallback_are_held_against_the_rows(filled, tmp_path):
    broken = Warehouse(tmp_path / "warehouse.duckdb", filled.project)
    broken.path.write_bytes(filled.path.read_bytes())
    with broken.open() as connection:
        connection.execute(MODEL_OF_LISTS)
        for changes in (*BROKEN_LISTS.values(), SOUND_LISTS):
            for (placement, visitor), change in changes.items():
                connection.execute(change.format(list=f"placement = '{placement}' and visitor_id = '{visitor}'"))
        connection.execute(COUNT_MISSING)
    compiled = broken.run(command="compile", select=" ".join(TESTS_OF_WHOLE_LISTS)).results
    assert {result.node.name for result in compiled} == set(TESTS_OF_WHOLE_LISTS)
    with broken.open() as connection:
        for result in compiled:
            rows = connection.execute(result.node.compiled_code).fetchall()
            assert {row[:2] for row in rows} == set(BROKEN_LISTS[result.node.name]), result.node.name
