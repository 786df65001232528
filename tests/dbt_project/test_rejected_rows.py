"""Rows that can't be used are listed with the reason: those that a load could not read, and items without an id."""

import json

from jobs.warehouse.connection import connect


def test_unreadable_rows_and_items_without_id_are_listed(warehouse):
    arrived = "2026-06-01 00:00:00+00"
    warehouse.add("items", [{"item_id": "lamp"}, {"item_id": "NULL", "title": "Nameless"}, {"title": "None"}], arrived)
    warehouse.add("events", [{"event_id": "e", "visitor_id": "v", "event_type": "view"}], arrived)
    with connect(warehouse.path) as connection:
        connection.executemany(
            "insert into raw.unreadable_rows values (?, ?, ?, ?, ?, ?)",
            [
                ["events", "clicks.csv", 7, "v1;lamp", "2 columns, not 3", arrived],
                ["items", "items.csv", 9, 'lamp;"Lamp', "a quote that nothing closes", arrived],
                ["visitors", "people.csv", 2, "v1", "1 column, not 2", arrived],
            ],
        )
    warehouse.run(select="staging intermediate")

    items = warehouse.rows("staging.rejected_items", ["reason", "file", "line", "raw_row"])
    assert [row[:3] for row in items] == [
        ("a quote that nothing closes", "items.csv", "9"),
        ("missing_item_id", None, None),
        ("missing_item_id", None, None),
    ]
    assert items[0][3] == 'lamp;"Lamp'
    assert {json.loads(row[3])["title"] for row in items[1:]} == {"Nameless", "None"}

    events = {row[0]: json.loads(row[1]) for row in warehouse.rows("staging.rejected_events", ["reason", "raw_row"])}
    assert events["missing_item_id"]["event_id"] == "e"
    assert events["unreadable_row"] == {
        "file": "clicks.csv", "line": 7, "row": "v1;lamp", "fault": "2 columns, not 3",
    }  # fmt: skip
