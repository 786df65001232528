"""Outcomes and uplift over several real builds: late events, a list replaced, a person forgotten, a full refresh."""

from datetime import UTC, datetime, timedelta

import pytest
from harness import Warehouse

from jobs.commands.forget import forget
from jobs.commands.person import Person
from jobs.settings import Settings
from jobs.warehouse.job_runs import job_run

LAYERS = "staging intermediate sessions items item_history path:models/outcomes outcomes uplift"
DAY = timedelta(days=1)
FIRST_DAY = datetime(2026, 1, 1, 10, tzinfo=UTC)
FIRST_ARRIVAL = datetime(2026, 2, 1, tzinfo=UTC)
VISITORS = [f"visitor {number}" for number in range(80)]
ANN = VISITORS[0]

PUBLISH = """
    insert into ml.published_lists by name
    select
        'default' as placement, visitor_id, rank, item_id, 'no-model' as model_version, 'popularity' as source,
        case when visitor_id in (select unnest($control)) then 'control' else 'model' end as arm,
        case when visitor_id in (select unnest($control)) then 'popularity' else 'sknn' end as model,
        $live_from as live_from
    from (select unnest($visitors) as visitor_id)
    cross join (select unnest([1, 2]) as rank, unnest($items) as item_id)
"""


def event(visitor: str, day: float, item: str, kind: str = "view") -> dict:
    return {
        "event_id": f"{visitor} {day} {item} {kind}", "visitor_id": visitor, "item_id": item, "event_type": kind,
        "event_at": f"{FIRST_DAY + day * DAY:%Y-%m-%d %H:%M:%S}",
    }  # fmt: skip


def publish(warehouse: Warehouse, day: float, items: list[str]) -> None:
    moment = {"live_from": FIRST_DAY + day * DAY}
    with warehouse.open() as connection:
        connection.execute("update ml.published_lists set live_until = $live_from where live_until is null", moment)
        connection.execute(PUBLISH, {"visitors": VISITORS, "control": VISITORS[40:], "items": items, **moment})


def run(warehouse: Warehouse, *arguments: str) -> dict[str, list]:
    warehouse.run(*arguments, "--exclude-resource-type", "test", command="build", select=LAYERS)
    return {table: warehouse.rows(f"recommendations.{table}") for table in ("outcomes", "uplift")}


def followed(warehouse: Warehouse, kind: str = "view") -> list[tuple]:
    columns = ["day", "rank", "places", "followed", "events", "revenue", "event_type", "arm"]
    found = warehouse.rows("recommendations.outcomes", columns)
    return [row[:6] for row in found if row[6:] == (kind, "model") and row[3:5] != ("0", "0")]


@pytest.fixture(scope="module")
def shop(dbt_project, tmp_path_factory) -> Warehouse:
    """A shop before its first list, with it, and with late events of both times."""
    warehouse = Warehouse(tmp_path_factory.mktemp("outcomes") / "warehouse.duckdb", dbt_project)
    warehouse.add(
        "items", [{"item_id": "lamp", "price": "2.50"}, {"item_id": "mug"}, {"item_id": "tray"}], FIRST_ARRIVAL
    )
    before = [event(visitor, 0, "lamp") for visitor in VISITORS]
    warehouse.add("events", before, FIRST_ARRIVAL)
    warehouse.empty = run(warehouse)
    publish(warehouse, 1, ["lamp", "mug"])
    bought = [event(visitor, 2, "lamp", "purchase") for visitor in VISITORS[:30] + VISITORS[40:66]]
    warehouse.add("events", [*bought, event(ANN, 9, "tray")], FIRST_ARRIVAL + DAY)
    run(warehouse)
    warehouse.first = followed(warehouse), followed(warehouse, "purchase")
    publish(warehouse, 10, ["tray", "lamp"])
    late = [event(ANN, 0.5, "mug"), event(ANN, 9.5, "mug"), event(ANN, 9.5, "tray"), event(VISITORS[1], 30, "tray")]
    warehouse.add("events", late, FIRST_ARRIVAL + 2 * DAY)
    warehouse.second = run(warehouse)
    return warehouse


def test_without_lists_there_is_nothing(shop):
    assert shop.empty == {"outcomes": [], "uplift": []}


def test_an_event_counts_for_the_list_of_its_time(shop):
    viewed, bought = shop.first
    assert viewed == []  # what was viewed before the list, and an item that it lacks
    # the purchases of day 2 follow the places of that day and of the day before
    assert bought == [
        ("2026-01-02", "1", "40", "30", "0", "0.0"),
        ("2026-01-03", "1", "40", "30", "30", "75.0"),
    ]
    # a late event on the second item of the first list; none on the item that the second list has, before it was live
    days = [f"2026-01-{day:02}" for day in range(4, 11)]
    assert [(*row[:3], row[3], row[4]) for row in followed(shop)] == [
        *[(day, "2", "40", "1", "1" if day == days[-1] else "0") for day in days],
        *[(f"2026-01-{day}", "1", "40", "1", "1" if day == 31 else "0") for day in range(25, 32)],
    ]


def test_uplift_counts_visitors_whose_window_has_passed(shop):
    columns = ["measure", "day", "visitors", "control_visitors", "mean", "control_mean", "uplift"]
    purchases, revenue, views = shop.rows("recommendations.uplift", columns)
    assert purchases == ("purchase", "2026-01-09", "40", "40", "0.75", "0.65", "0.09999999999999998")
    assert revenue[4:6] == ("1.875", "1.625")
    assert views[0] == "view"
    [(low, high)] = [
        row[1:] for row in shop.rows("recommendations.uplift", ["measure", "uplift_low", "uplift_high"])
        if row[0] == "purchase"
    ]  # fmt: skip
    assert float(low) < 0 < float(high)


def test_a_forgotten_person_is_gone_and_a_full_refresh_changes_nothing(shop):
    with shop.open() as connection, job_run(connection, "forget") as done:
        forget(connection, Settings(warehouse=shop.path, published=shop.path.with_name("p.duckdb")),
               Person("visitor", ANN), done)  # fmt: skip
    incremental = run(shop)
    assert incremental != shop.second
    assert followed(shop, "purchase")[1][2:5] == ("39", "29", "29")
    assert run(shop, "--full-refresh") == incremental
    shop.run(command="test", select="outcomes uplift arms_were_alike_before")
