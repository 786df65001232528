"""Impressions are typed and counted once; those that can't be used are listed with the reason and the row."""

import json

ARRIVED = "2026-06-02 00:00:00+00"
GOOD = {
    "impression_id": "good", "visitor_id": "v1", "placement": "home", "item_id": "lamp", "rank": "2.0",
    "shown_at": "2026-06-01T10:00:00+02:00", "propensity": "0.25",
}  # fmt: skip
BROKEN = {
    "missing_visitor_id": {"visitor_id": "NULL"},
    "missing_item_id": {"item_id": " "},
    "missing_shown_at": {"shown_at": None},
    "unparsable_shown_at": {"shown_at": "01/02/2026"},
    "shown_at_too_early": {"shown_at": "1990-01-01"},
    "shown_at_in_future": {"shown_at": "2026-06-03"},
    "unreadable_rank": {"rank": "1.5"},
    "unreadable_propensity": {"propensity": "1.01"},
}


def test_each_impression_is_typed_once_and_the_others_are_listed(warehouse):
    rows = [
        GOOD,
        {"impression_id": "bare", "visitor_id": "v2", "item_id": "lamp", "shown_at": "1780308000"},
        # without an id, equal rows are one impression
        *[{"visitor_id": "v3", "item_id": "vase", "shown_at": "2026-06-01 09:00", "rank": "1"}] * 2,
        # a null word is no id
        {"impression_id": "\\N", "visitor_id": "a", "item_id": "mug", "shown_at": "2026-06-01"},
        {"impression_id": "\\N", "visitor_id": "b", "item_id": "mug", "shown_at": "2026-06-01"},
        *[{**GOOD, "impression_id": reason, **broken} for reason, broken in BROKEN.items()],
        {**GOOD, "impression_id": "zero", "rank": "0"},
        {**GOOD, "impression_id": "nought", "propensity": "0"},
        {**GOOD, "impression_id": "no number", "propensity": "a lot"},
    ]
    warehouse.add("impressions", rows, ARRIVED)
    later = "2026-06-03 00:00:00+00"
    warehouse.add("impressions", [GOOD, {**GOOD, "item_id": "vase"}], later)
    with warehouse.open() as connection:
        connection.execute(
            "insert into raw.unreadable_rows "
            "values ('impressions', 'shown.csv', 7, 'v1;lamp', '2 columns, not 3', now())"
        )
    warehouse.run(select="staging intermediate")

    usable = warehouse.rows("staging.stg_impressions", ["* exclude (loaded_at)"])
    assert sorted(row[1:] for row in usable if row[0] not in ("good", "bare")) == [
        ("a", "default", "mug", None, "2026-06-01 00:00:00+00", None),
        ("b", "default", "mug", None, "2026-06-01 00:00:00+00", None),
        ("v3", "default", "vase", "1", "2026-06-01 09:00:00+00", None),
    ]
    assert [row for row in usable if row[0] in ("good", "bare")] == [
        ("bare", "v2", "default", "lamp", None, "2026-06-01 10:00:00+00", None),
        ("good", "v1", "home", "lamp", "2", "2026-06-01 08:00:00+00", "0.25"),
    ]

    rejected = warehouse.rows("staging.rejected_impressions", ["impression_id", "reason", "file", "line", "raw_row"])
    assert {row[:2] for row in rejected} == {
        *((reason, reason) for reason in BROKEN),
        ("zero", "unreadable_rank"),
        ("nought", "unreadable_propensity"),
        ("no number", "unreadable_propensity"),
        ("good", "duplicate_impression_id"),
        (None, "2 columns, not 3"),
    }
    by_reason = {row[1]: row[2:] for row in rejected}
    assert by_reason["2 columns, not 3"] == ("shown.csv", "7", "v1;lamp")
    assert json.loads(by_reason["duplicate_impression_id"][2])["item_id"] == "vase"


def test_a_view_of_impressions_may_lack_the_optional_columns(warehouse):
    with warehouse.open() as connection:
        connection.execute("drop table raw.impressions")
        connection.execute(
            "create view raw.impressions as select 7 as visitor_id, 'lamp' as item_id, "
            "timestamptz '2026-06-01 10:00:00+00' as shown_at, timestamptz '2026-06-01 11:00:00+00' as loaded_at"
        )
    warehouse.run(select="int_impressions_typed stg_impressions")
    assert warehouse.rows("staging.stg_impressions", ["visitor_id", "placement", "item_id", "shown_at"]) == [
        ("7", "default", "lamp", "2026-06-01 10:00:00+00")
    ]
