"""Real clicks, carts and orders, loaded by ``jobs.load``, fall into the sessions of the reference."""

from datetime import UTC, datetime

import polars as pl
from reference import READ_EVENTS, REFERENCE, Event, sessionize

from jobs.load import Source, load, parse_maps
from jobs.warehouse import job_run

# OTTO's columns -> ours: its times are Unix milliseconds, its plural types become our words, and the events have no id
# of their own. Its catalogue is what was clicked.
OTTO = parse_maps(
    [
        "events.event_at=ts_ms",
        "event_type=case event_type when 'orders' then 'purchase' else trim(event_type, 's') end",
        "items.updated_at=null",
    ]
)


def test_otto_sample(warehouse, real_data):
    file = real_data("otto_sample") / "events.parquet"
    with warehouse.open() as connection, job_run(connection, "load") as run:
        load(connection, [Source("items", str(file)), Source("events", str(file))], OTTO, run)
    warehouse.run(command="build")

    raw = pl.read_parquet(file)
    assert run.detail["events"]["loaded"] == len(raw) == 862
    with warehouse.open() as connection:
        usable = connection.execute(READ_EVENTS).fetchall()
        found = {query: sorted(connection.execute(query).fetchall()) for query in REFERENCE}

    words = {"clicks": "click", "carts": "cart", "orders": "purchase"}
    assert sorted((visitor, moment, item, kind) for visitor, moment, _, item, kind, *_ in usable) == sorted(
        (
            str(row["visitor_id"]),
            datetime.fromtimestamp(row["ts_ms"] / 1000, UTC),
            str(row["item_id"]),
            words[row["event_type"]],
        )
        for row in raw.to_dicts()
    )
    sessions = sessionize(Event(*row) for row in usable)
    assert len(sessions) == 20 + 124  # the visitors, and their silences of more than 30 minutes
    for query, rows in REFERENCE.items():
        assert found[query] == sorted(rows(sessions))
