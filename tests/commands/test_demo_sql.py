"""The SQL of the demo shop: repeatable at every size, with wrong rows only where they are intended."""

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

DEMO_FOLDER = Path(__file__).resolve().parents[2] / "sql" / "demo"
UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
ITEM_COLUMNS = [
    "item_id",
    "title",
    "brand",
    "category",
    "description",
    "price",
    "available",
    "updated_at",
    "attributes",
]
EVENT_COLUMNS = ["event_id", "visitor_id", "user_id", "item_id", "event_type", "event_at"]


def build_shop(items: int, visitors: int, seed: int = 1, threads: int = 2, settings: str = ""):
    """Run the three SQL files as the demo command does, and return a connection with the tables items and events."""
    connection = duckdb.connect(config={"threads": threads})
    connection.execute(settings)
    connection.execute((DEMO_FOLDER / "vocabulary.sql").read_text(encoding="utf-8"))
    parameters = {"items": items, "seed": seed, "until": UNTIL}
    connection.execute("create table items as " + (DEMO_FOLDER / "items.sql").read_text(encoding="utf-8"), parameters)
    connection.execute(
        "create table events as " + (DEMO_FOLDER / "events.sql").read_text(encoding="utf-8"),
        parameters | {"visitors": visitors},
    )
    return connection


@pytest.fixture(scope="module")
def shop():
    return build_shop(items=600, visitors=3000)


def rows(connection, table):
    return connection.sql(f"from {table} order by all").fetchall()


def one(connection, query):
    return connection.sql(query).fetchone()[0]


def test_columns_are_text_and_in_order(shop):
    for table, columns in (("items", ITEM_COLUMNS), ("events", EVENT_COLUMNS)):
        described = shop.sql(f"describe {table}").fetchall()
        assert [(name, kind) for name, kind, *_ in described] == [(name, "VARCHAR") for name in columns]


def test_same_parameters_give_same_rows_whatever_the_threads_and_time_zone():
    first = build_shop(120, 150, threads=1)
    second = build_shop(120, 150, threads=2, settings="set timezone = 'Asia/Tokyo'")
    for table in ("items", "events"):
        assert rows(first, table) == rows(second, table)


def test_another_seed_gives_other_rows():
    first, second = build_shop(120, 150, seed=1), build_shop(120, 150, seed=2)
    for table in ("items", "events"):
        assert rows(first, table) != rows(second, table)


@pytest.mark.parametrize("seed", [0, -1, 2**40])
def test_any_seed_works(seed):
    assert one(build_shop(50, 20, seed=seed), "select count(*) from events") > 20


@pytest.mark.parametrize("items", [50, 53, 119, 600, 20_000, 100_000])
def test_titles_are_distinct_and_nothing_is_missing(items):
    shop = build_shop(items, 20)
    assert one(shop, "select count(distinct item_id) from items") == items
    assert one(shop, "select count(distinct title) from items") == items
    for column in ITEM_COLUMNS:
        assert one(shop, f"select count(*) from items where {column} is null") == 0
    unavailable = one(shop, "select count(*) from items where available = 'false'")
    assert unavailable == pytest.approx(items / 50, abs=1)
    assert one(shop, "select min(price::decimal(10, 2)) from items") > 0
    assert one(shop, "select count(*) from events where item_id not in (select item_id from items)") == 1


@pytest.mark.parametrize("items", [50, 100, 600])
def test_cold_items_are_new_and_unseen_and_the_others_are_seen(items):
    shop = build_shop(items, 3000)
    cold = f"item_id in (select item_id from items order by item_id desc limit {items // 25})"
    assert one(shop, f"select count(*) from events where {cold}") == 0
    seen = one(shop, "select count(distinct item_id) from events join items using (item_id)")
    assert seen == items - items // 25
    newest_warm = one(shop, f"select max(updated_at) from items where not {cold}")
    assert one(shop, f"select min(updated_at) from items where {cold}") > newest_warm
    assert one(shop, "select max(updated_at::timestamptz) < '2026-11-01 00:00:00+00' from items")


@pytest.mark.parametrize("visitors", [20, 3000])
def test_each_kind_of_broken_row_is_there_and_rare(visitors):
    shop = build_shop(600, visitors)
    total = one(shop, "select count(*) from events")
    broken = [
        one(shop, "select count(*) from events where visitor_id is null"),
        one(shop, "select count(*) from events where try_cast(event_at as timestamptz) is null"),
        one(shop, "select count(*) from events where item_id not in (select item_id from items)"),
        one(shop, "select count(*) - count(distinct event_id) from events"),
    ]
    assert min(broken) > 0
    if visitors == 3000:
        assert 0.0005 < sum(broken) / total < 0.003


def test_a_repeated_id_comes_with_another_payload(shop):
    repeats = "select event_id from events group by event_id having count(*) > 1"
    payloads = f"select distinct event_id, event_type, event_at from events where event_id in ({repeats})"
    counts = shop.sql(f"select count(*) from ({payloads}) group by event_id").fetchall()
    assert set(counts) == {(2,)}


def test_events_fall_in_the_sixty_days_before_the_end(shop):
    shop.execute("create temp view times as select try_cast(event_at as timestamptz) as seen_at from events")
    assert one(shop, "select max(seen_at) < '2026-11-01 00:00:00+00' from times")
    assert one(shop, "select min(seen_at) >= timestamptz '2026-11-01 00:00:00+00' - interval 60 days from times")


def test_visits_are_short_steps_far_apart(shop):
    gaps = """
        select epoch(seen_at - lag(seen_at) over (partition by visitor_id order by seen_at)) as gap
        from (select *, try_cast(event_at as timestamptz) as seen_at from events)
        where seen_at is not null and visitor_id is not null
    """
    assert one(shop, f"select count(*) from ({gaps}) where gap between 1800 and 7200") == 0
    assert one(shop, f"select count(*) from ({gaps}) where gap > 7200") > 1000


def test_visitors_differ_widely(shop):
    mean, least, most = shop.sql(
        "select avg(n), min(n), max(n) from (select count(*) as n from events group by visitor_id)"
    ).fetchone()
    assert 12 < mean < 18
    assert least <= 2
    assert most > 60


def test_cart_and_purchase_follow_a_view_of_the_item(shop):
    orphans = """
        select count(*)
        from events as later
        where later.event_type <> 'view'
            and later.event_at <> 'yesterday'
            and not exists (
                select 1
                from events as earlier
                where earlier.visitor_id is not distinct from later.visitor_id
                    and earlier.item_id = later.item_id
                    and earlier.event_type = 'view'
                    and earlier.event_at < later.event_at
            )
    """
    assert one(shop, orphans) == 0
    counts = dict(shop.sql("select event_type, count(*) from events group by 1").fetchall())
    assert counts["view"] > 2 * counts["cart"] > 2 * counts["purchase"] > 0


def test_some_log_in_and_stay_logged_in(shop):
    share = one(shop, "select avg((user_id is not null)::int) from events")
    assert 0.05 < share < 0.4
    logged_out_again = """
        select count(*)
        from (
            select user_id, lag(user_id) over (partition by visitor_id order by event_id) as before
            from events
            where visitor_id is not null
        )
        where before is not null and user_id is distinct from before
    """
    assert one(shop, logged_out_again) == 0


def test_the_next_item_depends_on_the_last_one(shop):
    """Counting transitions predicts visitors' last views, which are held out, far more often than popularity does."""
    shop.execute("""
        create temp table pairs as
        select
            item_id,
            lag(item_id) over by_time as before,
            lead(item_id) over by_time is null as held_out
        from events
        where event_type = 'view' and visitor_id is not null and event_at <> 'yesterday'
        window by_time as (partition by visitor_id order by event_at)
        qualify before <> item_id
    """)
    popularity = one(
        shop,
        """
        select avg((item_id in (
            select item_id from pairs where not held_out
            group by item_id order by count(*) desc, item_id limit 10
        ))::int) from pairs where held_out
    """,
    )
    transitions = one(
        shop,
        """
        with ranked as (
            select before, item_id
            from pairs where not held_out
            group by before, item_id
            qualify row_number() over (partition by before order by count(*) desc, item_id) <= 10
        )
        select avg((ranked.item_id is not null)::int)
        from pairs left join ranked using (before, item_id)
        where held_out
    """,
    )
    assert 0.03 < popularity < 0.15
    assert 2 * popularity < transitions < 0.8
