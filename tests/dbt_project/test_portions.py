"""With ``max_events_per_build``, each build goes on behind what earlier builds have read, whatever they found there."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from harness import Warehouse

MODELS = "stg_items int_events_typed int_events_checked"
PORTION = 3
IN_PORTIONS = f"max_rejected_share: 1, max_events_per_build: {PORTION}, known_event_types: [view]"
NOW = datetime.now(UTC)
DAY = timedelta(days=1)
NEWEST_BUILD = "staging.checked_events where batch_id = (select max(batch_id) from staging.checked_events)"


def load(warehouse: Warehouse, name: str, loaded_at: datetime, count: int = PORTION, **changed: str) -> None:
    """Load so many events, called after their numbers, which arrive at one time."""
    rows = [
        {"event_id": f"{name}{number}", "visitor_id": "ann", "item_id": "lamp", "event_type": "view",
         "event_at": "2026-05-01 10:00:00", **changed}
        for number in range(count)
    ]  # fmt: skip
    warehouse.add("events", rows, loaded_at)


@pytest.fixture
def build(warehouse: Warehouse) -> Callable[..., list[str]]:
    """Build the models once, and return the ids of the events that the newest build has judged."""
    warehouse.add("items", [{"item_id": "lamp"}], NOW - 30 * DAY)

    def build_once(more_vars: str = "") -> list[str]:
        warehouse.run("--vars", f"{{{IN_PORTIONS}{more_vars}}}", select=MODELS)
        return [event_id for (event_id,) in warehouse.rows(NEWEST_BUILD, ["event_id"])]

    return build_once


@pytest.mark.parametrize("more_vars", ["", ", event_identity: [event_id, item_id]"])
def test_events_that_are_delivered_again_do_not_hide_those_after_them(warehouse, build, more_vars):
    load(warehouse, "known", NOW - 9 * DAY)
    load(warehouse, "after", NOW - 9 * DAY + timedelta(minutes=10), count=1)
    assert build(more_vars) == ["known0", "known1", "known2"]
    load(warehouse, " known", NOW - 8 * DAY, item_id=" lamp ")  # blanks around an id don't count
    load(warehouse, "new", NOW - 7 * DAY)
    load(warehouse, "last", NOW - 6 * DAY)
    assert build(more_vars) == ["after0", "new0", "new1", "new2"]
    load(warehouse, "slow", NOW - 7 * DAY - timedelta(minutes=30), count=1)  # a transaction that ended late
    assert build(more_vars) == ["last0", "last1", "last2", "slow0"]


def test_arrivals_after_the_start_of_the_build_that_read_them_do_not_hide_those_after_them(warehouse, build):
    load(warehouse, "ahead", NOW + DAY)
    load(warehouse, "odd", NOW + 2 * DAY, event_type="odd")  # rejected rows have keys of their own
    load(warehouse, "further ahead", NOW + 3 * DAY)
    assert build() == ["ahead0", "ahead1", "ahead2"]
    assert build() == ["odd0", "odd1", "odd2"]
    assert build() == ["further ahead0", "further ahead1", "further ahead2"]


def test_a_clock_that_is_right_again_still_gives_portions(warehouse, build):
    load(warehouse, "ahead", NOW + DAY)
    assert build() == ["ahead0", "ahead1", "ahead2"]
    load(warehouse, "right", NOW + timedelta(hours=1))
    load(warehouse, "later", NOW + timedelta(hours=2))
    assert build() == ["right0", "right1", "right2"]
    assert build() == ["later0", "later1", "later2"]
