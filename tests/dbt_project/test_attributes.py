"""Attributes of items and visitors: their types, their history, and what they leave as it was."""

import json

from jobs.warehouse.connection import connect

CATALOG = "stg_items stg_visitors items visitors attribute_types item_texts item_history visitor_history"

# per attribute: the values of the items a, b, c (None: absent), its type, and the typed values
ATTRIBUTES = {
    "number": (["7", "-0.50", 3], "number", [7, -0.5, 3]),
    "leading zero": (["007", "1", None], "text", ["007", "1", None]),
    "plus": (["+7", None, None], "text", ["+7", None, None]),
    "exponent": (["1e5", None, None], "text", ["1e5", None, None]),
    "small": (["5e-05", "0.1", None], "number", [5e-05, 0.1, None]),
    "too long": (["1234567890123456", None, None], "text", ["1234567890123456", None, None]),
    "numbers and words": (["38", "XL", 40], "text", ["38", "XL", "40"]),
    "boolean": (["TRUE", False, "NULL"], "boolean", [True, False, None]),
    "boolean and number": ([True, 1, None], "text", ["true", "1", None]),
    "date": (["2026-01-31", " 2026-02-28 ", "nan"], "date", ["2026-01-31", "2026-02-28", None]),
    "no date": (["2026-02-30", None, None], "text", ["2026-02-30", None, None]),
    "time": (
        ["2026-01-31", "2026-01-31T10:00:00+01:00", "2026-01-31 10:00:06,123"],
        "time",
        ["2026-01-31T00:00:00Z", "2026-01-31T09:00:00Z", "2026-01-31T10:00:06.123000Z"],
    ),
    "nested": ([["x", 1], {"w": {"unit": "cm"}}, "5"], "json", [["x", 1], {"w": {"unit": "cm"}}, "5"]),
    "null words": (["N/A", " ", None], None, [None, None, None]),
    'sign "of\\ quotes': (["'a'", '"b"', None], "text", ["'a'", '"b"', None]),
}


def items(attributes, **changed):
    """Return rows of raw.items with the first, second, ... value of each attribute."""
    return [
        {"item_id": item, "title": f"Title {item}", **changed,
         "attributes": json.dumps({name: values[number] for name, values in attributes.items()})}
        for number, item in enumerate("abc")
    ]  # fmt: skip


def test_types_and_history(warehouse):
    def build(day, items=(), visitors=()):
        for table, rows in (("items", items), ("visitors", visitors)):
            warehouse.add(table, rows, f"2026-06-{day:02} 00:00:00+00")
        warehouse.run(command="build", select=CATALOG)

    def versions(table="item", key="count(*)"):
        return dict(warehouse.rows(f"catalog.{table}_history group by all", [f"{table}_id", key]))

    # a warehouse of before: its history has no attributes, and goes on without a second version
    build(1, [{"item_id": item, "title": f"Title {item}"} for item in "abc"])
    texts = warehouse.rows("catalog.item_texts")
    with connect(warehouse.path) as connection:
        connection.execute("alter table catalog.item_history drop column attributes")
        connection.execute("alter table catalog.item_history drop column attributes_hash")
        connection.execute("drop table ml.schema_versions")
    build(2, visitors=[{"visitor_id": " v ", "attributes": '{"vip": "true"}'}, {"visitor_id": "w"}])
    assert versions() == {"a": "1", "b": "1", "c": "1"}

    build(3, items({name: values for name, (values, *_) in ATTRIBUTES.items()}))
    assert versions() == {"a": "2", "b": "2", "c": "2"}
    assert warehouse.rows("catalog.item_texts") == texts
    for number, item in enumerate("abc"):
        [(attributes,)] = warehouse.rows(f"catalog.items where item_id = '{item}'", ["attributes"])
        found, expected = json.loads(attributes), {name: typed[number] for name, (*_, typed) in ATTRIBUTES.items()}
        assert found == {name: value for name, value in expected.items() if value is not None}
        assert list(found) == sorted(found)
    types = {name: kind for name, (_, kind, _) in ATTRIBUTES.items() if kind}
    columns = ["name", "type"]
    assert dict(warehouse.rows("catalog.attribute_types where subject = 'item'", columns)) == types
    assert warehouse.rows("catalog.attribute_types where subject = 'visitor'") == [
        ("visitor", "vip", "boolean", "1", "true")
    ]

    # the same values in another order and another spelling, and one that changes the type of the others' values
    changed = {name: values for name, (values, *_) in reversed(ATTRIBUTES.items())}
    changed["number"] = [7, "-0.50", "three"]
    build(4, items(changed), [{"visitor_id": "v", "attributes": '{"vip": "false"}'}])
    assert versions() == {"a": "2", "b": "2", "c": "3"}
    found = warehouse.rows("catalog.items", ["attributes ->> 'number'", "json_type(attributes -> 'number')"])
    assert found == [("-0.50", "VARCHAR"), ("7", "VARCHAR"), ("three", "VARCHAR")]

    assert versions("visitor") == {"v": "2", "w": "1"}
    assert warehouse.rows("catalog.visitors", ["visitor_id", "attributes"]) == [("v", '{"vip":false}'), ("w", None)]

    before = {table: warehouse.rows(f"catalog.{table}") for table in CATALOG.split()[2:]}
    warehouse.run("--full-refresh", select=CATALOG)
    assert {table: warehouse.rows(f"catalog.{table}") for table in before} == before


def test_a_users_own_views_may_have_no_attributes_or_a_struct(warehouse):
    with connect(warehouse.path) as connection:
        connection.execute("drop table if exists raw.items")
        connection.execute("create schema if not exists raw")
        connection.execute(
            "create view raw.items as select 'a' as item_id, {'size': 3} as attributes, now() as loaded_at "
            "union all by name select 'b' as item_id, now() as loaded_at"
        )
        connection.execute("create view raw.visitors as select 'v' as visitor_id, now() as loaded_at")
    warehouse.run(select="stg_items stg_visitors")
    assert warehouse.rows("staging.stg_items", ["item_id", "attributes"]) == [("a", '{"size":3}'), ("b", None)]
    assert warehouse.rows("staging.stg_visitors", ["visitor_id", "attributes"]) == [("v", None)]
