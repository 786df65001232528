"""The rows that `nextmart forget` collects: those of the person, and of nobody else."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from jobs.commands.forget import forget
from jobs.commands.person import Person
from jobs.commands.rows_of_person import collect_rows_to_delete
from jobs.settings import Settings
from jobs.warehouse.connection import Connection, connect, prepare_warehouse
from jobs.warehouse.job_runs import job_run

NULL_WORDS = ("NULL", "nan")
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
USER = Person("user", "u1")


@pytest.fixture
def connection(tmp_path) -> Connection:
    connection = connect(tmp_path / "warehouse.duckdb", config={"threads": 1})
    prepare_warehouse(connection)
    return connection


def add_events(connection: Connection, *events: tuple[str, str | None, str | None]) -> None:
    """Add events, given as (event_id, visitor_id, user_id)."""
    for event_id, visitor_id, user_id in events:
        connection.execute(
            "insert into raw.events by name select $event as event_id, $visitor as visitor_id, $user as user_id, "
            "'view' as event_type, 'lamp' as item_id, $moment as event_at, $moment as loaded_at",
            {"event": event_id, "visitor": visitor_id, "user": user_id, "moment": MOMENT},
        )


def arrivals_to_delete(connection: Connection) -> list[str]:
    """Return the event_ids of the collected rows of raw.events."""
    rows = connection.execute(
        "select event_id from raw.events where rowid in (select raw_row_id from forgotten_arrivals) order by all"
    ).fetchall()
    return [event_id for (event_id,) in rows]


def publish_lists(published_file: Path, visitors: Sequence[str]) -> None:
    with duckdb.connect(str(published_file)) as connection:
        connection.execute("create schema recommendations")
        connection.execute(
            "create table recommendations.visitor_recommendations as "
            "select unnest($visitors::varchar[]) as visitor_id, 1 as rank, 'lamp' as item_id",
            {"visitors": visitors},
        )


def published_visitors(published_file: Path) -> list[str]:
    with duckdb.connect(str(published_file), read_only=True) as connection:
        rows = connection.execute("select visitor_id from recommendations.visitor_recommendations order by all")
        return [visitor_id for (visitor_id,) in rows.fetchall()]


@pytest.mark.parametrize("no_visitor", [None, "NULL"])
def test_forgetting_a_user_whose_event_has_no_visitor_leaves_the_lists_of_all_others(connection, tmp_path, no_visitor):
    add_events(connection, ("e1", no_visitor, "u1"), ("e2", "v1", "u1"), ("e3", "v2", None), ("e4", no_visitor, "u2"))
    settings = Settings(warehouse=tmp_path / "warehouse.duckdb", published=tmp_path / "published.duckdb")
    publish_lists(settings.published, ["v1", "v2", "v3"])
    with job_run(connection, "forget") as run_record:
        assert forget(connection, settings, USER, run_record) == ["v1"]
    assert published_visitors(settings.published) == ["v2", "v3"]
    assert connection.execute("select event_id from raw.events order by all").fetchall() == [("e3",), ("e4",)]


def test_events_without_a_visitor_belong_to_no_device_of_the_user(connection):
    add_events(connection, ("e1", "NULL", "u1"), ("e2", "NULL", None), ("e3", " nan ", None), ("e4", "nan", "u1"))
    assert collect_rows_to_delete(connection, USER, NULL_WORDS) == []
    assert arrivals_to_delete(connection) == ["e1", "e4"]


def test_a_null_word_names_no_user(connection):
    add_events(connection, ("e1", "v1", "NULL"), ("e2", "v2", None), ("e3", "v1", None))
    assert collect_rows_to_delete(connection, Person("user", "NULL"), NULL_WORDS) == []
    assert arrivals_to_delete(connection) == []
