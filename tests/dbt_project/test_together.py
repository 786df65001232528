"""Bought and viewed together, and trending, over a few real builds: late events, a forgotten person, a lone refresh."""

from datetime import UTC, datetime, timedelta

import pytest

from jobs.commands.forget import forget
from jobs.commands.person import Person
from jobs.settings import Settings
from jobs.warehouse.job_runs import job_run

LAYERS = (
    "staging intermediate sessions together items visitors public_items popular_items bought_together viewed_together"
)
LAYERS += " trending_items"
VARS = ("--vars", "{together_min_sessions: 2, trending_min_visitors: 1, trending_attribute: country}")
FIRST_DAY = datetime(2026, 1, 1, 10, tzinfo=UTC)
FIRST_ARRIVAL = datetime(2026, 2, 1, tzinfo=UTC)
TABLES = ["bought_together", "viewed_together", "trending_items", "items", "popular_items"]
ANN = "visitor-ann"


def order(visitor: str, day: float, *items: str, kind: str = "purchase") -> list[dict]:
    return [
        {"event_id": f"{visitor} {day} {item} {kind}", "visitor_id": visitor, "item_id": item, "event_type": kind,
         "event_at": f"{FIRST_DAY + timedelta(days=day, minutes=place):%Y-%m-%d %H:%M:%S}"}
        for place, item in enumerate(items)
    ]  # fmt: skip


def contents(warehouse) -> dict[str, list]:
    return {table: warehouse.rows(f"recommendations.{table}") for table in TABLES} | {
        "pairs": warehouse.rows("sessions.basket_pairs")
    }


def run(warehouse, *arguments: str, select: str = LAYERS) -> None:
    warehouse.run(*VARS, *arguments, select=select)


def pairs_of(warehouse, item: str, table: str = "bought_together") -> list[tuple]:
    return [row[1:] for row in warehouse.rows(
        f"recommendations.{table}", ["item_id", "rank", "with_item_id", "together", "confidence"]
    ) if row[0] == item]  # fmt: skip


@pytest.fixture(scope="module")
def shop(dbt_project, tmp_path_factory):
    """Three builds: four orders; a late line that joins one of them; and an order of a person who is forgotten then."""
    from harness import Warehouse

    warehouse = Warehouse(tmp_path_factory.mktemp("together") / "warehouse.duckdb", dbt_project)
    items = [{"item_id": item, "title": f"A {item}", "category": "Tea"} for item in ("cup", "saucer", "spoon", "tray")]
    warehouse.add("items", [*items, {"item_id": "pot", "available": "no"}], FIRST_ARRIVAL)
    warehouse.add("visitors", [{"visitor_id": "bob", "attributes": '{"country": "DE"}'}], FIRST_ARRIVAL)
    bought = [
        *order("bob", 1, "cup", "saucer", "pot"), *order("cid", 1, "cup", "saucer", "cup"), *order("dan", 2, "cup"),
        *order("eve", 2, "spoon", "tray"), *order("eve", 2.001, "pot", kind="view"), *order("fay", 9, "tray"),
    ]  # fmt: skip
    warehouse.add("events", bought, FIRST_ARRIVAL)
    run(warehouse)
    warehouse.first = contents(warehouse), pairs_of(warehouse, "cup"), pairs_of(warehouse, "pot")
    late = [*order("dan", 1.999, "saucer"), *order(ANN, 3, "spoon", "tray")]
    warehouse.add("events", late, FIRST_ARRIVAL + timedelta(days=1))
    run(warehouse)
    warehouse.second = pairs_of(warehouse, "cup"), pairs_of(warehouse, "spoon")
    return warehouse


def test_a_session_counts_once_and_an_unavailable_item_is_beside_none(shop):
    # of three sessions with a cup, two have a saucer and one a pot; a pot is beside too few
    _, cup, pot = shop.first
    assert cup == [("1", "saucer", "2", "0.6666666666666666")]
    assert pot == []
    found = shop.rows("recommendations.items", ["item_id", "popularity", "available", "first_seen_at"])
    assert ("pot", "2.0", "false", "2026-01-02 10:02:00+00") in found


def test_what_is_trending_has_a_share_that_grows(shop):
    changes = [float(change) for (change,) in shop.rows("recommendations.trending_items", ["change"])]
    assert changes
    assert min(changes) > 1


def test_a_late_line_and_a_new_order_change_the_counts(shop):
    cup, spoon = shop.second
    assert cup == [("1", "saucer", "3", "1.0")]
    assert spoon == [("1", "tray", "2", "1.0")]


def test_counts_after_a_person_is_forgotten_and_after_a_lone_refresh_are_those_of_a_full_refresh(shop):
    settings = Settings(warehouse=shop.path, published=shop.path.with_name("published.duckdb"))
    with shop.open() as connection, job_run(connection, "forget") as done:
        forget(connection, settings, Person("visitor", ANN), done)
    left = shop.rows("sessions.baskets", ["session_id", "ended_at", "bought_items"])
    assert [row for row in left if row[0] == "forgotten"] == [("forgotten", None, "[spoon, tray]")]
    run(shop)
    assert pairs_of(shop, "spoon") == []
    assert "forgotten" not in {name for (name,) in shop.rows("sessions.baskets", ["session_id"])}
    incremental = contents(shop)
    # a full refresh that was killed between the two tables
    run(shop, "--full-refresh", select="baskets")
    assert shop.rows("sessions.basket_pairs") == []
    run(shop)
    assert contents(shop) == incremental
    run(shop, "--full-refresh")
    assert contents(shop) == incremental


def test_a_table_of_pairs_with_ids_gives_way_to_counts_with_numbers_at_the_next_build(shop):
    counted = contents(shop)
    with shop.open() as connection:
        # as earlier releases left it
        connection.execute("create table sessions.earlier_pairs as from sessions.basket_pairs")
        connection.execute("drop view sessions.basket_pairs")
        connection.execute("alter table sessions.earlier_pairs rename to basket_pairs")
        connection.execute("drop table sessions.pair_counts; drop table sessions.basket_items")
    run(shop)
    assert contents(shop) == counted


def test_no_pair_is_counted_before_its_items_have_numbers(shop):
    counted = contents(shop)
    with shop.open() as connection:
        connection.execute("create table sessions.all_numbers as from sessions.basket_items")
        connection.execute("delete from sessions.basket_items where item_id = 'cup'")
    with pytest.raises(AssertionError, match="basket_items lacks an item"):
        run(shop, "--full-refresh", select="pair_counts")
    with shop.open() as connection:
        connection.execute("drop table sessions.basket_items")
        connection.execute("alter table sessions.all_numbers rename to basket_items")
    assert contents(shop) == counted


def test_another_setting_makes_the_baskets_anew(shop):
    settings = VARS[1].replace("}", ", bought_event_types: [view], viewed_event_types: [purchase]}")
    shop.run("--vars", settings, select="together bought_together viewed_together")
    assert pairs_of(shop, "cup") == []
    assert pairs_of(shop, "cup", "viewed_together") == [("1", "saucer", "3", "1.0")]
