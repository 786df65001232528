"""Rows that were loaded by a clock that was wrong: every one is taken up, and what is shown is of the newest run."""

from datetime import UTC, datetime, timedelta

import pytest

from jobs.commands.load import load
from jobs.loading.sources import LoadRules, LoadSource
from jobs.settings import default_vars
from jobs.warehouse.job_runs import job_run

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
EVENTS = ["staging.stg_events", ["event_id"]]
EVENT_MODELS = "stg_items int_events_typed int_events_checked event_batches stg_events"


@pytest.fixture
def load_events(warehouse, tmp_path, monkeypatch):
    """Load an event by a clock that is set, as `nextmart load` does, and build."""
    warehouse.add("items", [{"item_id": "lamp"}], NOON - timedelta(days=30))

    def load_and_build(event_id: str, clock: datetime) -> None:
        monkeypatch.setattr("jobs.loading.loaded_at_clock.now", lambda: clock)
        path = tmp_path / f"{event_id}.csv"
        path.write_text(
            f"event_id,visitor_id,item_id,event_type,event_at\n{event_id},v,lamp,view,2026-01-01 10:00:00\n"
        )
        with warehouse.open() as connection, job_run(connection, "load") as run_record:
            load(connection, [LoadSource("events", str(path))], run_record, LoadRules(default_vars()))
        warehouse.run(select=EVENT_MODELS)

    return load_and_build


def test_a_load_whose_clock_was_set_back_is_taken_up_and_said(warehouse, load_events, capfd):
    load_events("first", NOON)
    capfd.readouterr()
    load_events("two hours back", NOON - timedelta(hours=2))
    said = capfd.readouterr().err
    assert f"the clock says {NOON - timedelta(hours=2):%Y-%m-%d %H:%M:%S} UTC" in said
    assert f"loaded at {NOON:%Y-%m-%d %H:%M:%S} UTC" in said
    load_events("thirty days back", NOON - timedelta(days=30))
    load_events("right again", NOON + timedelta(hours=1))
    assert warehouse.rows(*EVENTS) == [("first",), ("right again",), ("thirty days back",), ("two hours back",)]
    with warehouse.open() as connection:
        ordered = connection.execute("select event_id from raw.events order by loaded_at").fetchall()
    assert ordered == [("first",), ("two hours back",), ("thirty days back",), ("right again",)]


def test_rows_that_a_tool_of_the_users_own_inserts_with_an_old_time_are_taken_up_once(warehouse, load_events):
    load_events("first", NOON)
    event = {"visitor_id": "v", "item_id": "lamp", "event_type": "view", "event_at": "2026-01-01 10:00:00"}
    warehouse.add("events", [{"event_id": "slipped", **event}], NOON - timedelta(days=3))
    warehouse.run(select=EVENT_MODELS)
    assert warehouse.rows(*EVENTS) == [("first",), ("slipped",)]
    batches = ["batch_id", "event_count", "slipped_count"]
    assert warehouse.rows("staging.event_batches", batches) == [("1", "1", "0"), ("2", "1", "1")]
    load_events("last", NOON + timedelta(hours=3))
    assert warehouse.rows(*EVENTS) == [("first",), ("last",), ("slipped",)]
    assert warehouse.rows("staging.event_batches", batches)[2] == ("3", "1", "0")
    incremental = warehouse.rows("staging.stg_events", ["* exclude (batch_id)"])
    warehouse.run("--full-refresh", select=EVENT_MODELS)
    assert warehouse.rows("staging.stg_events", ["* exclude (batch_id)"]) == incremental


def test_lists_that_are_shown_are_of_the_newest_run_not_of_a_run_of_the_future(warehouse, load_events):
    load_events("first", NOON)
    with warehouse.open() as connection:
        for number, (run_id, at) in enumerate({"ahead": NOON + timedelta(days=30), "tonight": NOON}.items(), start=1):
            connection.execute(
                "insert into ml.job_runs by name select $run_id as run_id, 'recommend' as job, $at as started_at, "
                "$at as finished_at, 'done' as status, $number as run_number",
                {"run_id": run_id, "at": at, "number": number},
            )
            connection.execute(
                "insert into ml.recommendations by name select $run_id as run_id, $run_id as model_version, 'v' as "
                "visitor_id, 1 as sequence_hash, 1 as rank, 'lamp' as item_id, 1.0 as score, 'popularity' as source, "
                "$at as generated_at",
                {"run_id": run_id, "at": at},
            )
    warehouse.run(select="items visitor_recommendations")
    assert warehouse.rows("recommendations.visitor_recommendations", ["model_version"]) == [("tonight",)]
