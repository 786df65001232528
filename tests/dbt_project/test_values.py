"""Null words, times, prices and availability from the raw tables to the tables that are read.

Each value's meaning is tested in ``tests/warehouse/test_value_macros.py``; here is where each meaning is used.
"""

import pytest

LOADED = "2026-06-01 00:00:00+00"
SELECTED = "staging intermediate unreadable_prices unknown_availability_words items_named_by_null_words"


def event(event_id, **changed):
    return {
        "event_id": event_id, "visitor_id": "ann", "item_id": "lamp", "event_type": "view",
        "event_at": "2026-01-31 10:00:00", **changed,
    }  # fmt: skip


def statuses(outcome):
    """Return the status and the number of rows of each of the data tests."""
    return {
        result.node.name: (result.status.value, result.failures)
        for result in outcome.results
        if result.failures is not None
    }


def test_null_words_and_times_of_events(warehouse):
    warehouse.add("items", [{"item_id": "lamp"}], LOADED)
    warehouse.add(
        "events",
        [
            event("user", user_id="NA", source_session_id="(not set)"),
            event("visitor", visitor_id="nan"),
            event("item", item_id="\\N", user_id="eve"),
            event("real", visitor_id="Nan", user_id="na"),
            event("float", event_at="1769853600.0"),
            event("nanoseconds", event_at="1769853600000000000"),
            event("compact", event_at="20260131T100000Z"),
            event("ambiguous", event_at="01/02/2021 10:00"),
        ],
        LOADED,
    )
    warehouse.run()
    columns = ["event_id", "visitor_id", "user_id", "source_session_id", "event_at"]
    assert warehouse.rows("staging.stg_events", columns) == [
        ("compact", "ann", None, None, "2026-01-31 10:00:00+00"),
        ("float", "ann", None, None, "2026-01-31 10:00:00+00"),
        ("nanoseconds", "ann", None, None, "2026-01-31 10:00:00+00"),
        ("real", "Nan", "na", None, "2026-01-31 10:00:00+00"),
        ("user", "ann", None, None, "2026-01-31 10:00:00+00"),
    ]
    rejected = ["event_id", "reason", "raw_row ->> 'visitor_id'", "raw_row ->> 'item_id'", "raw_row ->> 'user_id'"]
    assert warehouse.rows("staging.rejected_events", rejected) == [
        ("ambiguous", "unparsable_event_at", "ann", "lamp", None),
        ("item", "missing_item_id", "ann", "\\N", "eve"),
        ("visitor", "missing_visitor_id", "nan", "lamp", None),
    ]


def test_rows_that_an_older_build_has_judged_are_no_conflict_after_an_upgrade(warehouse):
    """A build reads the arrivals of the last hour again."""
    warehouse.add("items", [{"item_id": "lamp"}], LOADED)
    warehouse.add("events", [event("old", user_id="NA", source_session_id="NULL")], LOADED)
    warehouse.run("--vars", "{null_words: []}")
    assert warehouse.rows("staging.stg_events", ["user_id", "source_session_id"]) == [("NA", "NULL")]
    warehouse.run()
    assert warehouse.rows("staging.rejected_events") == []
    assert warehouse.rows("staging.stg_events", ["user_id"]) == [("NA",)]
    warehouse.run("--full-refresh")
    assert warehouse.rows("staging.stg_events", ["user_id", "source_session_id"]) == [(None, None)]


def test_the_catalogue_is_read_and_what_cannot_be_read_is_counted(warehouse):
    items = [
        {"item_id": "1", "title": "None", "brand": "nan", "category": "&nbsp;-", "price": "€1.299,00",
         "available": "draft"},
        {"item_id": "2", "title": "None of these", "price": "1,299", "available": "on request"},
        {"item_id": "3", "title": "NA", "price": "1,299", "available": "On request"},
        {"item_id": "4", "title": "Lamp", "price": "free", "available": "https://schema.org/OutOfStock"},
        {"item_id": "5", "price": "NULL", "available": "-1"},
        {"item_id": "NA", "title": "Lost"},
        {"item_id": "6", "price": "12,99", "updated_at": "20260131"},
    ]  # fmt: skip
    warehouse.add("items", items, LOADED)
    outcome = warehouse.run(command="build", select=SELECTED)
    columns = ["item_id", "title", "brand", "category", "price", "available", "unread_price", "unread_available"]
    assert warehouse.rows("staging.stg_items", columns) == [
        ("1", None, None, None, "1299.0", "false", None, None),
        ("2", "None of these", None, None, None, "true", "1,299", "on request"),
        ("3", None, None, None, None, "true", "1,299", "On request"),
        ("4", "Lamp", None, None, None, "false", "free", None),
        ("5", None, None, None, None, "false", None, None),
        ("6", None, None, None, "12.99", "true", None, None),
    ]
    tests = statuses(outcome)
    assert tests["unreadable_prices"] == ("warn", 2)
    assert tests["unknown_availability_words"] == ("warn", 2)
    assert tests["items_named_by_null_words"] == ("warn", 1)

    own = "{price_decimal_sign: '.', availability_words: {ON REQUEST: false}, null_words: [free, 'None']}"
    tests = statuses(warehouse.run("--vars", own, command="build", select=SELECTED))
    assert warehouse.rows("staging.stg_items", ["item_id", "title", "price", "available"]) == [
        ("1", None, "1299.0", "false"),
        ("2", "None of these", "1299.0", "false"),
        ("3", "NA", "1299.0", "false"),
        ("4", "Lamp", None, "false"),
        ("5", None, None, "false"),
        ("6", None, "12.99", "true"),
        ("NA", "Lost", None, "true"),
    ]
    assert tests["unreadable_prices"] == ("warn", 1)  # NULL is a price here
    assert tests["unknown_availability_words"] == ("pass", 0)
    assert tests["items_named_by_null_words"] == ("pass", 0)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("null_words: NULL word", "null_words is a list of texts"),
        ("price_decimal_sign: ';'", "price_decimal_sign: ';' is neither '.' nor ',' nor null"),
        ("availability_words: {gone: nope}", "availability_words: 'gone' is true or false, not 'nope'"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(warehouse, setting, message):
    with pytest.raises(AssertionError) as refused:
        warehouse.run("--vars", f"{{{setting}}}", command="compile", select="stg_items")
    assert message in str(refused.value)
