"""A small shop on which the documentation's SQL and commands run."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from pages import ROOT, blocks
from shop import Shop, built_once
from warm_nextmart import warm_nextmart_in

from jobs.warehouse.connection import connect

MODELS = '["popularity", "llmseqsim", "vsknn"]'  # fitted in a moment


# so few visitors buy several things at once too seldom for a list of what is bought together
ORDERS = """
    insert into raw.events by name
    select
        'order' || number || item as event_id, 'buyer' || number as visitor_id, 'sku-00000' || item as item_id,
        'purchase' as event_type, (select max(loaded_at) - interval 1 day from raw.events)::varchar as event_at,
        (select max(loaded_at) from raw.events) as loaded_at
    from range(4) as orders (number) cross join range(1, 4) as items (item)
"""


# every visitor's country, which the page for analysts asks about
COUNTRIES = """
    insert into raw.visitors by name
    select
        visitor_id, json_object('country', if(hash(visitor_id) % 2 = 0, 'DE', 'FR')) as attributes,
        max(loaded_at) as loaded_at
    from raw.events where trim(visitor_id) <> '' group by visitor_id
"""


# lists that were live for the visitors of the last three weeks: those of a control for every third of them
LISTS = """
    insert into ml.published_lists by name
    with visitors as (
        select visitor_id, hash(visitor_id) % 3 = 0 as is_control, max(loaded_at) over () as newest
        from raw.events where trim(visitor_id) <> ''
    )
    select distinct
        'default' as placement, visitor_id, rank, item_id, 'no-model' as model_version, 'popularity' as source,
        case when is_control then 'popularity' else 'sknn' end as model,
        case when is_control then 'control' else 'model' end as arm,
        newest - interval 20 days as live_from, newest - interval 1 day as live_until
    from visitors
    cross join (
        select item_id, row_number() over (order by count(*) desc, item_id) as rank
        from raw.events where trim(item_id) <> '' group by item_id
    )
    where rank <= 20
"""


# what a place in the cart drew at random, each of twenty items alike, while these lists were live
DRAWN = """
    insert into raw.impressions by name
    select
        'drawn ' || visitor_id as impression_id, visitor_id, 'cart' as placement, 1 as rank, 0.05 as propensity,
        'sku-0000' || (10 + hash(visitor_id) % 20) as item_id,
        (max(max(loaded_at)) over () - interval 12 days)::varchar as shown_at, max(loaded_at) as loaded_at
    from raw.events where trim(visitor_id) <> '' group by visitor_id
"""


@pytest.fixture(scope="session")
def documented_shop(shared_folder) -> Shop:
    """The demo's shop, smaller, after its first night, with what readers have beside it. Copy it to change it."""

    def build(shop: Shop) -> None:
        shop.set(f"models = {MODELS}\n{settings_of_the_docs()}")
        shop.fill()
        with connect(shop.warehouse) as warehouse:
            warehouse.execute(ORDERS)
            warehouse.execute(COUNTRIES)
            warehouse.execute(LISTS)
            warehouse.execute(DRAWN)
        shop.call("run")
        write_files_of_readers(shop.folder)

    return built_once(shared_folder, "documented", build)


@pytest.fixture
def warm_nextmart(tmp_path) -> Iterator[Path]:
    """A folder with a program ``nextmart`` that needs no time for its imports."""
    folder = tmp_path / "programs"
    with warm_nextmart_in(folder):
        yield folder


def settings_of_the_docs() -> str:
    """Return the settings that change the published tables, as the page for analysts shows them."""
    shown = blocks("toml", page=ROOT / "docs" / "analysts.md")
    return "\n".join(block.text for block in shown if "[placements." in block.text or "[vars]" in block.text)


def write_files_of_readers(folder: Path) -> None:
    """Write the files that the documentation's commands read, with the columns that it says they have."""
    draw = random.Random(0)
    clicks = [
        (f"c{client}", f"lamp-{draw.randrange(30)}", datetime(2026, 3, 1) + timedelta(minutes=draw.randrange(50_000)))
        for client in range(1, 61)
        for _ in range(8)
    ]
    with duckdb.connect() as files:
        files.execute("create table events (client_id varchar, item_id varchar, ts timestamp)")
        files.executemany("insert into events values (?, ?, ?)", clicks)
        files.execute("create table items as select distinct item_id, 'Desk ' || item_id as title from events")
        files.execute(
            "create table orders as select item_id as code, 'Desk ' || item_id as name, 9.95 as price, "
            "client_id as customer, ts as ordered_at, 1 as quantity, 'DE' as country, 0.3 as margin from events"
        )
        files.execute("create table customers as select distinct client_id as device, 'new' as segment from events")
        (folder / "events").mkdir()
        files.execute(f"copy events to '{folder}/events/march.parquet'")
        for table in ("events", "items", "orders", "customers"):
            files.execute(f"copy {table} to '{folder}/{table}.csv'")
