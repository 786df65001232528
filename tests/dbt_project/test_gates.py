"""The data tests that warn of a feed, or stop the build for it."""

from datetime import UTC, datetime, timedelta

import pytest
from harness import SESSIONS, DbtProject, Warehouse

DAY = datetime(2026, 5, 1, 10, tzinfo=UTC)


def events(prefix, count, minute=0, **changed):
    """One event each of so many visitors, called after their numbers."""
    return [
        {"event_id": f"{prefix}{number}", "visitor_id": f"v{number}", "item_id": "lamp", "event_type": "view",
         "event_at": f"{DAY + timedelta(minutes=minute):%Y-%m-%d %H:%M:%S}", **changed}
        for number in range(count)
    ]  # fmt: skip


@pytest.fixture(scope="session")
def default_project(dbt_project) -> DbtProject:
    return dbt_project.with_vars("{}")


class Feed:
    """A shop's events, each load a day after the one before."""

    def __init__(self, path, project):
        self.warehouse = Warehouse(path / "warehouse.duckdb", project)
        self.days = 0
        self.warehouse.add("items", [{"item_id": "lamp"}], "2026-06-01 00:00:00+00")

    def load(self, rows):
        self.days += 1
        self.warehouse.add("events", rows, f"2026-06-{self.days:02} 00:00:00+00")

    def build(self, gate=None):
        """Return what every test said, or the one that is named; a failing one raises."""
        models = [f"{name},resource_type:model" for name in SESSIONS.split()]
        select = " ".join([*models, gate]) if gate else SESSIONS
        results = self.warehouse.run(command="build", select=select).results
        return {result.node.name: result.status.value for result in results}


@pytest.fixture
def feed(tmp_path, default_project) -> Feed:
    return Feed(tmp_path, default_project)


@pytest.fixture
def strict_feed(tmp_path, strict_project) -> Feed:
    return Feed(tmp_path, strict_project)


def test_a_bad_night_in_a_long_history_stops_the_build_until_enough_has_come_after_it(feed):
    feed.load(events("before", 400))
    feed.warehouse.run()

    feed.load(events("good", 70) + events("bad", 20, visitor_id=None) + events("worse", 10, event_at="soon"))
    said = (
        r"few_rejected_events.*30 of 100 events of the newest builds are rejected, most of them for "
        "missing_visitor_id; see staging.rejected_events"
    )
    with pytest.raises(AssertionError, match=f"(?s){said}"):
        feed.build()
    assert feed.warehouse.rows("sessions.sessions", ["count(*)"]) == [("400",)]  # nothing follows a failed test

    with pytest.raises(AssertionError, match=f"(?s){said}"):
        feed.build("few_rejected_events")  # again, without anything new
    feed.load(events("a few", 5))
    with pytest.raises(AssertionError, match="30 of 105 events of the newest builds"):
        feed.build("few_rejected_events")

    feed.load(events("after", 95))
    feed.build()
    assert feed.warehouse.rows("sessions.session_items", ["count(*)"]) == [("570",)]
    batches = feed.warehouse.rows("staging.event_batches", ["batch_id", "event_count", "rejected_count"])
    assert batches == [("1", "400", "0"), ("2", "100", "30"), ("3", "5", "0"), ("4", "95", "0")]


def test_a_handful_of_rejected_events_stops_nothing(feed):
    feed.load(events("before", 400))
    feed.warehouse.run()
    feed.load(events("bad", 10, visitor_id=None))
    feed.build()


def test_too_many_rejected_events_of_a_short_history_stop_the_build(feed):
    feed.load(events("good", 8) + events("bad", 1, visitor_id=None))
    with pytest.raises(AssertionError, match="1 of 9 events are rejected"):
        feed.build("few_rejected_events")


def load_late_events(feed, late):
    """After a first build, 100 new events, so many of them between two known events of their visitors."""
    feed.load(events("first", 100) + events("last", 100, minute=20))
    feed.warehouse.run()
    opening = [{**row, "visitor_id": f"new {row['visitor_id']}"} for row in events("new", 100 - late, minute=10)]
    feed.load(events("between", late, minute=10) + opening)


CHANGED_SESSIONS = "share_at_most_session_changes_joined_late_count__session_count"


@pytest.mark.parametrize(("late", "status"), [(5, "pass"), (20, "warn")])
def test_many_sessions_that_late_events_change_are_warned_of(feed, late, status):
    load_late_events(feed, late)
    assert feed.build(CHANGED_SESSIONS)[CHANGED_SESSIONS] == status


def test_too_many_sessions_that_late_events_change_stop_the_build(strict_feed):
    load_late_events(strict_feed, 20)
    with pytest.raises(AssertionError, match=f"{CHANGED_SESSIONS}: Got 20 results, configured to fail if > 10"):
        strict_feed.build(CHANGED_SESSIONS)


def test_events_whose_item_comes_later_are_not_late(feed):
    feed.load(events("first", 100) + events("waits", 100, minute=10, item_id="vase") + events("last", 100, minute=20))
    feed.load(events("newest", 1, minute=100))
    feed.warehouse.run()
    feed.warehouse.add("items", [{"item_id": "vase"}], "2026-06-03 00:00:00+00")
    late = "share_at_most_event_batches_late_count__event_count"
    said = feed.build(f"{late} {CHANGED_SESSIONS}")
    assert (said[late], said[CHANGED_SESSIONS]) == ("pass", "pass")
    counts = ["event_count", "late_count", "very_late_count"]
    assert feed.warehouse.rows("staging.event_batches where batch_id = 2", counts) == [("100", "0", "0")]
    counts = ["session_count", "joined_late_count"]
    assert feed.warehouse.rows("sessions.session_changes where batch_id = 2", counts) == [("100", "0")]


def test_very_late_events_are_warned_of(feed):
    feed.load(events("known", 100))
    feed.warehouse.run()
    feed.load(events("today", 98) + events("very late", 2, minute=-45 * 24 * 60))
    gate = "share_at_most_event_batches_very_late_count__event_count"
    assert feed.build(gate)[gate] == "warn"


AGE = "days_since_at_most_source_freshness_newest_loaded_at"


def test_events_that_stay_away_are_warned_of(feed):
    assert feed.build()[AGE] == "pass"  # nothing has come yet
    now = datetime.now(UTC)
    feed.warehouse.add("events", events("old", 1), now - timedelta(days=3))
    assert feed.build(AGE)[AGE] == "warn"
    feed.warehouse.add("events", events("new", 1), now - timedelta(days=1))
    assert feed.build(AGE)[AGE] == "pass"  # a catalogue may stand still
    assert feed.warehouse.rows("staging.source_freshness", ["source_table", "row_count", "newest_at"]) == [
        ("raw.events", "2", "2026-05-01 10:00:00+00"),
        ("raw.items", "1", "2026-06-01 00:00:00+00"),
    ]


def test_events_that_stay_away_stop_the_build_where_that_is_set(strict_feed):
    strict_feed.warehouse.add("events", events("old", 1), datetime.now(UTC) - timedelta(days=3, hours=1))
    with pytest.raises(AssertionError, match=f"{AGE}: Got 4 results, configured to fail if > 2"):
        strict_feed.build(AGE)


def test_an_arrival_in_the_future_hides_nothing_that_comes_the_next_day(warehouse):
    now = datetime.now(UTC)
    warehouse.add("items", [{"item_id": "lamp"}], now - timedelta(days=2))
    warehouse.add("events", events("yesterday", 1), now - timedelta(days=1, hours=1))
    warehouse.add("events", events("broken clock", 1), now + timedelta(days=1000))
    warehouse.run()
    with warehouse.open() as connection:  # a day goes by
        connection.execute("update staging.checked_events set built_at = built_at - interval 1 day")
        connection.execute("update staging.event_batches set settled_until = settled_until - interval 1 day")
    warehouse.add("events", events("at noon", 1), now - timedelta(hours=12))
    warehouse.run()
    assert warehouse.rows("staging.stg_events", ["event_id"]) == [("at noon0",), ("broken clock0",), ("yesterday0",)]
    assert warehouse.rows("staging.event_batches", ["batch_id", "event_count", "slipped_count"]) == [
        ("1", "2", "0"),
        ("2", "1", "0"),
    ]


def test_a_copy_that_a_new_build_brings_is_found_among_old_rows(warehouse):
    warehouse.add("events", events("known", 1), "2026-06-01 00:00:00+00")
    warehouse.add("items", [{"item_id": "lamp"}], "2026-06-01 00:00:00+00")
    warehouse.run()
    with warehouse.open() as connection:
        connection.execute(
            "insert into sessions.session_items from sessions.session_items select * replace (9 as assigned_batch_id)"
        )
    with pytest.raises(AssertionError, match="valid_session_items: Got 1 result"):
        warehouse.run(command="test", select="session_items,test_type:data")


def test_sessions_of_the_tracker_that_are_none_are_warned_of(feed):
    feed.load(events("a", 2, source_session_id="0") + events("b", 1, source_session_id="his own"))
    results = {result.node.name: result for result in feed.warehouse.run(command="build").results}
    said = results["no_shared_or_long_tracker_sessions"]
    assert (said.status.value, said.failures) == ("warn", 1)
