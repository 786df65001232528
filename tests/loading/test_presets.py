"""Presets: small files in the formats of well-known programs become the right rows of events and items."""

import hashlib
import json
import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.dbt_vars import default_vars
from jobs.errors import NextmartError, UsageError
from jobs.loading.arrivals import read_source
from jobs.loading.presets.all_presets import PRESETS, find_preset
from jobs.loading.sources import LoadSource, ReadOptions
from jobs.loading.staging_rules import staging_rules
from jobs.warehouse.connection import prepare_warehouse

FILES = Path(__file__).parent / "presets"


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set threads = 1")
        prepare_warehouse(connection)
        yield connection


def read(connection, table, name, path, columns, **source):
    """Return columns of the rows that a preset makes of a file, in the order of all columns."""
    read_source(connection, LoadSource(table, str(path), preset_name=name, **source), default_vars())
    time = staging_rules(default_vars()).time_sql
    selected = ", ".join(
        f"strftime({time(column)}, '%d %H:%M:%S.%g')" if column in ("event_at", "updated_at") else column
        for column in columns.split()
    )
    return connection.execute(f"select {selected} from incoming order by all").fetchall()


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


BROWSER = "Mozilla/5.0 (X11; Linux x86_64)"
EVENTS = {
    ("ga4", "ga4.json", "visitor_id user_id item_id event_type event_at source_session_id"): [
        # no event is lost: a cart without an item is rejected by the next build, with its reason
        ("1000.2000", "u-17", "007", "purchase", "31 10:01:40.000", "1000.2000-1769853600"),
        ("1000.2000", "u-17", "LAMP-1", "purchase", "31 10:01:40.000", "1000.2000-1769853600"),
        ("1000.2000", None, "LAMP-1", "view", "31 10:00:10.000", "1000.2000-1769853600"),
        ("3000.4000", None, None, "cart", "31 10:00:05.000", "3000.4000-1769853600"),
    ],
    ("segment", "segment.jsonl", "event_id visitor_id user_id item_id event_type event_at user_agent"): [
        ("ajs-1", "a-1", None, "P-1", "view", "31 10:00:00.200", BROWSER),
        ("ajs-2", "a-1", "u-9", "P-1", "purchase", "31 10:05:00.200", BROWSER),
        ("ajs-2-2", "a-1", "u-9", "P-2", "purchase", "31 10:05:00.200", BROWSER),
        ("node-4", "u-10", "u-10", "P-2", "cart", "31 11:00:00.000", None),
    ],
    ("segment", "segment_warehouse.csv", "event_id visitor_id user_id item_id event_type event_at user_agent"): [
        ("ajs-2", "a-1", "u-9", "P-1", "purchase", "31 10:05:00.200", BROWSER),
        ("ajs-2-2", "a-1", "u-9", "P-2", "purchase", "31 10:05:00.200", BROWSER),
        ("ajs-5", "a-2", None, "P-2", "purchase", "31 12:05:00.200", BROWSER),
    ],
    ("segment", "segment_product_viewed.csv", "event_id visitor_id item_id event_type event_at"): [
        ("ajs-1", "a-1", "P-1", "view", "31 10:00:00.200"),
    ],
    ("snowplow", "snowplow.tsv", "event_id visitor_id user_id item_id event_type event_at source_session_id"): [
        ("22222222-2222-4222-8222-222222222222", "d1", None, "LAMP-1", "view", "31 10:00:05.200", "session-1"),
        ("33333333-3333-4333-8333-333333333333", "d1", "u-17", "LAMP-1", "purchase", "31 10:01:00.300", "session-1"),
        ("33333333-3333-4333-8333-333333333333-2", "d1", "u-17", "0042", "purchase", "31 10:01:00.300", "session-1"),
        ("44444444-4444-4444-8444-444444444444", "d2", None, "POSTER-9", "purchase", "31 11:00:00.400", "session-2"),
    ],
    ("shopify_orders", "shopify_orders.csv", "source_session_id item_id event_type event_at visitor_id"): [
        ("#1001", "LAMP-BL", "purchase", "31 10:00:00.000", sha256("ada@example.com")),
        ("#1001", "Mug", "purchase", "31 10:00:00.000", sha256("ada@example.com")),
        ("#1002", "Mug", "cancellation", "02 07:00:00.000", sha256("grace@example.com")),
    ],
    ("woocommerce_orders", "woocommerce_orders.json", "event_id visitor_id user_id item_id event_type event_at"): [
        ("727-315", "26", "26", "93", "purchase", "31 10:00:00.000"),
        ("727-316", "26", "26", "22", "purchase", "31 10:00:00.000"),
        ("728-317", sha256("grace@example.com"), None, "22", "cancellation", "02 07:00:00.000"),
    ],
    ("woocommerce_orders", "woocommerce_orders_lines.csv", "event_id visitor_id user_id item_id event_type event_at"): [
        ("727-315", "26", "26", "93", "purchase", "31 10:00:00.000"),
        ("727-316", "26", "26", "22", "purchase", "31 10:00:00.000"),
        ("728-318", sha256("grace@example.com"), None, "22", "cancellation", "02 07:00:00.000"),
    ],
    (
        "woocommerce_orders",
        "woocommerce_orders_wide.csv",
        "event_id visitor_id user_id item_id event_type event_at",
    ): [
        ("727-1", "26", "26", "93", "purchase", "31 10:00:00.000"),
        ("727-2", "26", "26", "22", "purchase", "31 10:00:00.000"),
        ("728-1", sha256("grace@example.com"), None, "22", "cancellation", "02 07:00:00.000"),
    ],
    ("woocommerce_orders", "woocommerce_orders_rows.csv", "source_session_id visitor_id item_id event_type event_at"): [
        ("727", sha256("ada@example.com"), "LAMP-1", "purchase", "31 10:00:00.000"),
        ("727", sha256("ada@example.com"), "Mug", "purchase", "31 10:00:00.000"),
        ("728", sha256("grace@example.com"), "Mug", "cancellation", "02 07:00:00.000"),
    ],
    ("movielens", "ratings.csv", "visitor_id item_id event_type event_at"): [
        ("1", "2", "rating", "02 23:53:47.000"),
        ("1", "29", "rating", "02 23:31:16.000"),
    ],
    ("movielens", "ratings.dat", "visitor_id item_id event_type event_at"): [
        ("1", "1193", "rating", "31 22:12:40.000"),
        ("1", "661", "rating", "31 22:35:09.000"),
    ],
    ("movielens", "u.data", "visitor_id item_id event_type event_at"): [
        ("186", "302", "rating", "04 19:22:22.000"),
        ("196", "242", "rating", "04 15:55:49.000"),
    ],
    ("recbole", "ml.inter", "visitor_id item_id event_type event_at source_session_id"): [
        ("186", "302", "interaction", "04 19:22:22.000", None),
        ("196", "242", "interaction", "04 15:55:49.000", None),
    ],
}
ITEMS = {
    ("ga4", "ga4.json", "item_id title brand category price updated_at"): [
        ("007", "Light bulb", None, None, "4", "31 10:01:40.000"),
        ("LAMP-1", "Desk lamp, new", "Mossarch", "Home > Lighting", "39.9", "31 10:01:40.000"),
        ("MUG-3", "Mug", "Oldcastle", None, "8.5", "31 10:03:20.000"),
    ],
    ("segment", "segment.jsonl", "item_id title brand category price"): [
        ("P-1", "Chess set", None, "Games", "18.99"),
        ("P-2", "Dice", None, None, "3"),
    ],
    ("segment", "segment_product_viewed.csv", "item_id title brand category price"): [
        ("P-1", "Chess set", "Oldcastle", "Games", "18.99"),
    ],
    ("snowplow", "snowplow.tsv", "item_id title brand category price"): [
        ("0042", "Mug", None, "Kitchen", "12.4"),
        ("LAMP-1", "Desk lamp", "Mossarch", "Home/Lighting", "39.9"),
        ("POSTER-9", "Poster", None, "Art", "5.0"),
    ],
    ("shopify_orders", "shopify_products.csv", "item_id title brand category description price available"): [
        ("LAMP-BL", "Desk lamp - Black / Large", "Mossarch", "Home & Garden > Lighting",
         "<p>Bends <b>everywhere</b>.</p>", "39.90", "3"),
        ("LAMP-BS", "Desk lamp - Black / Small", "Mossarch", "Home & Garden > Lighting",
         "<p>Bends <b>everywhere</b>.</p>", "34.90", "0"),
        ("Mug", "Mug", "Oldcastle", "Kitchen", None, "12.40", "active"),
        ("P-1", "Poster", "Oldcastle", "Art", None, "5.00", "draft"),
    ],
    ("shopify_orders", "shopify_products_renamed.csv", "item_id title brand category description price available"): [
        ("LAMP-BL", "Desk lamp - Black / Large", "Mossarch", "Home & Garden > Lighting",
         "<p>Bends <b>everywhere</b>.</p>", "39.90", "3"),
        ("LAMP-BS", "Desk lamp - Black / Small", "Mossarch", "Home & Garden > Lighting",
         "<p>Bends <b>everywhere</b>.</p>", "34.90", "active"),
        ("Mug", "Mug", "Oldcastle", "Kitchen", None, "12.40", "unpublished"),
        ("P-1", "Poster", "Oldcastle", "Art", None, "5.00", "Draft"),
    ],
    ("shopify_orders", "shopify_orders.csv", "item_id title brand price"): [
        ("LAMP-BL", "Desk lamp - Black / Large", "Mossarch", "39.90"),
        ("Mug", "Mug", "Oldcastle", "12.40"),
    ],
    ("woocommerce_orders", "woocommerce_products.json", "item_id title brand category description price available"): [
        ("22", "Mug", None, None, "", "12.40", "outofstock"),
        ("23", "Poster", None, "Art", "", "5.00", "draft"),
        ("93", "Desk lamp", "Mossarch", "Home > Lighting", "<p>Bends everywhere.</p>", "39.90", "instock"),
    ],
    ("woocommerce_orders", "woocommerce_products.csv", "item_id title brand category price available"): [
        ("22", "Mug", None, "Kitchen", "12.40", "0"),
        ("23", "Poster", None, "Art", "5.00", "unpublished"),
        ("93", "Desk lamp", "Mossarch", "Home > Lighting", "39.90", "1"),
    ],
    ("woocommerce_orders", "woocommerce_orders.json", "item_id title price"): [
        ("22", "Mug", "12.4"),
        ("93", "Desk lamp", "39.9"),
    ],
    ("woocommerce_orders", "woocommerce_orders_lines.csv", "item_id title price"): [
        ("22", "Mug", "12.4"),
        ("93", "Desk lamp", "39.9"),
    ],
    ("woocommerce_orders", "woocommerce_orders_wide.csv", "item_id title price"): [
        ("22", "Mug", "12.4"),
        ("93", "Desk lamp", "39.9"),
    ],
    ("woocommerce_orders", "woocommerce_orders_rows.csv", "item_id title price"): [
        ("LAMP-1", "Desk lamp", "39.90"),
        ("Mug", "Mug", "12.40"),
    ],
    ("movielens", "movies.csv", "item_id title category"): [
        ("2", "Night Train, The (1995)", "Drama > War"),
        ("29", "Empty Room (2001)", None),
    ],
    ("movielens", "movies.dat", "item_id title category"): [
        ("1193", "Café at Dawn (1998)", "Comedy > Drama"),
        ("661", "Mice: A Tale (1999)", "Animation"),
    ],
    ("movielens", "u.item", "item_id title category"): [
        ("242", "Café at Dawn (1998)", "Comedy > Drama"),
        ("302", "Mice (1999)", "Animation > Children's"),
    ],
    ("recbole", "ml.item", "item_id title category"): [
        ("242", "Night Train", "Drama War"),
        ("302", "Empty Room", "Drama"),
    ],
}  # fmt: skip


def case_name(value):
    return value if isinstance(value, str) else "-".join(value[:2])


@pytest.mark.parametrize("case", EVENTS, ids=case_name)
def test_events(connection, case):
    name, file, columns = case
    assert read(connection, "events", name, FILES / file, columns) == EVENTS[case]


@pytest.mark.parametrize("case", ITEMS, ids=case_name)
def test_items(connection, case):
    name, file, columns = case
    assert read(connection, "items", name, FILES / file, columns) == ITEMS[case]
    assert connection.execute("select count(attributes) from incoming").fetchall() == [(0,)]


def test_columns_that_the_user_names_are_attributes_beside_a_preset(connection):
    rows = read(
        connection, "items", "movielens", FILES / "movies.csv", "item_id title attributes", attributes=("genres",)
    )
    assert rows == [
        ("2", "Night Train, The (1995)", '{"genres":"Drama|War"}'),
        ("29", "Empty Room (2001)", '{"genres":"(no genres listed)"}'),
    ]


def test_every_layout_has_a_file():
    tested = {(table, name) for table, cases in (("events", EVENTS), ("items", ITEMS)) for name, _, _ in cases}
    assert tested == {(layout.table, name) for name, each in PRESETS.items() for layout in each.layouts}


def test_the_documentation_lists_every_preset():
    page = (FILES.parents[2] / "docs" / "loading.md").read_text()
    table = page[page.index("| preset | events from |") :].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == list(PRESETS)


def test_nested_values_are_the_same_in_parquet(connection, tmp_path):
    columns = "visitor_id user_id item_id event_type event_at source_session_id"
    connection.execute(f"copy (from read_json('{FILES}/ga4.json')) to '{tmp_path}/ga4.parquet'")
    assert read(connection, "events", "ga4", tmp_path / "ga4.parquet", columns) == EVENTS["ga4", "ga4.json", columns]


def test_bigquerys_own_parquet_types_give_the_same_rows(connection, tmp_path):
    """BigQuery writes REPEATED RECORD as list<element: struct>, and every field of a record, null or not."""
    value = {
        "string_value": pa.string(),
        "int_value": pa.int64(),
        "float_value": pa.float64(),
        "double_value": pa.float64(),
    }
    parameters = pa.list_(pa.field("element", pa.struct({"key": pa.string(), "value": pa.struct(value)})))
    names = ("id", "name", "brand", "variant", "category", "category2", "category3", "category4", "category5")
    item = {f"item_{name}": pa.string() for name in names}
    item |= {"price": pa.float64(), "quantity": pa.int64(), "item_params": parameters}
    schema = pa.schema({
        "event_date": pa.string(), "event_timestamp": pa.int64(), "event_name": pa.string(), "event_params": parameters,
        "user_id": pa.string(), "user_pseudo_id": pa.string(), "device": pa.struct({"category": pa.string()}),
        "items": pa.list_(pa.field("element", pa.struct(item))),
    })  # fmt: skip
    rows = [json.loads(line) for line in (FILES / "ga4.json").read_text().splitlines()]
    for row in rows:
        row["event_timestamp"] = int(row["event_timestamp"])
        for parameter in row["event_params"]:
            if "int_value" in parameter["value"]:
                parameter["value"]["int_value"] = int(parameter["value"]["int_value"])
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "ga4.parquet")
    for table, expected in (("events", EVENTS), ("items", ITEMS)):
        for (name, file, columns), rows in expected.items():
            if file == "ga4.json":
                found = read(connection, table, name, tmp_path / "ga4.parquet", columns)
                assert [tuple(None if v is None else v.removesuffix(".0") for v in row) for row in found] == rows


def test_ids_in_nested_json_are_not_respelt(connection, tmp_path):
    ids = ["0B3F2A10-1111-4222-8333-ABCDEFABCDEF", "2026-01-01", "1e5", "007"]
    calls = [
        {
            "messageId": f"m{number}",
            "anonymousId": "a",
            "timestamp": "2026-01-31T10:00:00Z",
            "event": "Product Viewed",
            "properties": {"product_id": id_},
        }
        for number, id_ in enumerate(ids)
    ]
    path = tmp_path / "calls.jsonl"
    path.write_text("\n".join(map(json.dumps, calls)))
    assert sorted(row[0] for row in read(connection, "events", "segment", path, "item_id")) == sorted(ids)


def test_the_users_map_and_condition_go_beside_those_of_the_preset(connection):
    rows = read(
        connection, "events", "ga4", FILES / "ga4.json", "item_id event_type visitor_id",
        column_map={"event_type": "'bought'"}, where_sql="element ->> 'item_brand' = 'Mossarch'",
    )  # fmt: skip
    assert rows == [("LAMP-1", "bought", "1000.2000")] * 2
    rows = read(connection, "events", "ga4", FILES / "ga4.json", "item_id", where_sql="true) or (true")
    assert ("MUG-3",) in rows  # what is written in `where` is the user's own business


@pytest.mark.parametrize(
    ("table", "name", "header", "words"),
    [
        (
            "events", "ga4", "event_name,user_pseudo_id,event_timestamp,place\na,b,1,c\n",
            ["ga4", "event_params, items", "It has: event_name, user_pseudo_id, event_timestamp, place"],
        ),
        ("events", "movielens", "userId,movieId,rating\n1,2,3\n", ["movielens", "timestamp", "ratings.dat"]),
        ("items", "shopify_orders", "Handle,Title\na,b\n", ["shopify_orders", "Variant SKU", "products_export.csv"]),
        ("events", "snowplow", "a\tb\nc\td\n", ["snowplow", "domain_userid", "enriched events"]),
    ],
)  # fmt: skip
def test_a_file_without_the_presets_columns_is_refused(connection, tmp_path, table, name, header, words):
    path = tmp_path / "file.csv"
    path.write_text(header)
    with pytest.raises(UsageError) as refused:
        read_source(connection, LoadSource(table, str(path), preset_name=name), default_vars())
    for word in (str(path), *words):
        assert word in str(refused.value)


def test_a_file_of_other_events_is_refused_with_the_presets_condition(connection, tmp_path):
    path = tmp_path / "pages.json"
    path.write_text((FILES / "ga4.json").read_text().splitlines()[0])
    with pytest.raises(NextmartError, match=r"no rows that the preset ga4 keeps: .*add_to_cart"):
        read_source(connection, LoadSource("events", str(path), preset_name="ga4"), default_vars())


@pytest.mark.parametrize(
    ("preset", "where", "rows"),
    [
        (
            "shopify_orders", "\"Lineitem sku\" = 'L'",
            "Name,Email,Created at,Lineitem name,Lineitem sku\n"
            "#1,a@b.de,2026-01-01 10:00:00 +0100,Gift,G\n#1,,,Lamp,L\n",
        ),
        (
            "woocommerce_orders", "\"SKU\" = 'L'",
            "Order Number,Order Status,Order Date,Email (Billing),SKU,Item Name\n"
            "1,completed,2026-01-01 09:00:00,a@b.de,G,Gift\n1,,,,L,Lamp\n",
        ),
    ],
)  # fmt: skip
def test_a_line_keeps_the_values_of_its_order_if_the_condition_leaves_out_the_first_line(
    connection, tmp_path, preset, where, rows
):
    (tmp_path / "orders.csv").write_text(rows)
    found = read(connection, "events", preset, tmp_path / "orders.csv", "item_id event_at visitor_id", where_sql=where)
    assert found == [("L", "01 09:00:00.000", sha256("a@b.de"))]


@pytest.mark.parametrize(("typo", "meant"), [("ga5", "ga4"), ("shopify", "shopify_orders"), ("segmnt", "segment")])
def test_an_unknown_preset_is_refused_with_the_nearest(typo, meant):
    with pytest.raises(UsageError, match=f"did you mean '{meant}'"):
        find_preset(typo)


def test_the_users_reading_options_go_before_the_presets(connection, tmp_path):
    path = tmp_path / "movies.dat"
    path.write_text("1::Café::Drama\n", encoding="utf-16")
    rows = read(connection, "items", "movielens", path, "title", read_options=ReadOptions(encoding="utf-16"))
    assert rows == [("Café",)]
