"""Neither the machine's time zone nor the one that a user's own profile sets has an effect on any table."""

import json
import marshal
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import duckdb
import pytest
import yaml
from harness import DbtProject, Warehouse
from quick_dbt import compiled_templates
from reference import READ_EVENTS, Event, sessionize

from jobs.files import project_folder

# zones of the machine and of the connection; the first pair is what the others are held against
ZONES = [("UTC", "UTC"), ("America/New_York", "Asia/Kolkata"), ("Asia/Kolkata", "America/New_York")]
LAYERS = "staging intermediate sessions together catalog item_history public_items"
# when a build ran, and what is made of that
OF_THE_CLOCK = {
    "staging.checked_events": "* exclude (built_at)",
    "catalog.item_history": "* exclude (dbt_valid_from, dbt_valid_to, dbt_updated_at, dbt_scd_id)",
    "catalog.embedding_backlog": "* exclude (missing_since, seen_at)",
}

# New York's clocks go from 01:59:59-05:00 to 03:00-04:00 on 2026-03-08, at 07:00 UTC, and from 01:59:59-04:00 to
# 01:00-05:00 on 2026-11-01, at 06:00 UTC
EVENTS = {
    "spring": ["2026-03-08T01:50:00-05:00", "2026-03-08T03:10:00-04:00"],
    "spring in seconds": ["1772952600", "1772953800"],
    "the hour that is skipped": ["2026-03-08 01:50:00", "2026-03-08 02:10:00", "2026-03-08 02:30:00"],
    "autumn": ["2026-11-01T01:50:00-04:00", "2026-11-01T01:10:00-05:00", "2026-11-01T01:50:00-05:00"],
    "autumn in seconds": ["1793512200", "1793513400", "1793515800"],
    "the hour that comes twice": ["2026-11-01 01:10:00", "2026-11-01 01:30:00", "2026-11-01 02:05:00"],
    "midnight": ["2026-05-01 23:50:00", "2026-05-02 00:10:00"],
    "midnight of New York": ["2026-05-01T23:50:00-04:00", "2026-05-02T00:10:00-04:00"],
    "midnight of Kolkata": ["2026-05-01T23:50:00+05:30", "2026-05-02T00:10:00+05:30"],
    "days": ["2026-03-08", "2026-11-01"],
    "the first moment that counts": ["1995-01-01 00:00:00"],
}
REJECTED = {
    "too early": ["1994-12-31 23:59:59"],
    "too late": ["2026-11-20 01:00:01"],  # an hour after the arrival, and a second
    "no time": ["yesterday"],
}
# around thirty days before the latest event above; clocks changed in between
LATE = {"very late": ["2026-10-02 06:20:00"], "late": ["2026-10-02 07:00:00"]}
SEVERAL_SESSIONS = {"autumn", "autumn in seconds", "the hour that comes twice", "days"}


def rows_of(events):
    return [
        {"event_id": f"{visitor} {place}", "visitor_id": visitor, "user_id": f"user of {visitor}", "item_id": "lamp",
         "event_type": "view", "event_at": moment}
        for visitor, moments in events.items()
        for place, moment in enumerate(moments)
    ]  # fmt: skip


def profile(folder: Path, zone: str) -> Path:
    """Write the project's profile as a user may have changed it."""
    profiles = yaml.safe_load((project_folder("dbt_project") / "profiles.yml").read_text())
    profiles["nextmart"]["outputs"]["warehouse"]["settings"] = {"TimeZone": zone}
    folder.mkdir()
    (folder / "profiles.yml").write_text(yaml.safe_dump(profiles))
    return folder


def build(folder: Path, machine: str, zone: str, variables: str, parse: Path, templates: bytes) -> Path:
    """Make a warehouse of two arrivals in two builds; runs in a process of its own, in the machine's zone."""
    assert duckdb.execute("select current_setting('TimeZone')").fetchall() == [(machine,)]
    compiled_templates.update(marshal.loads(templates))
    project = DbtProject(folder, variables, parse)
    warehouse = Warehouse(folder / "warehouse.duckdb", project)
    options = ("--profiles-dir", str(profile(folder / "profiles", zone)), "--exclude-resource-type", "test")
    for day, events in ((20, EVENTS | REJECTED), (21, LATE)):
        arrived = datetime(2026, 11, day, tzinfo=UTC)
        items = [
            {"item_id": item, "title": f"{item} of day {day}", "updated_at": moment,
             "attributes": json.dumps({"sold since": f"2026-11-{day}T23:30:00-02:00", "day": f"2026-11-{day}"})}
            for item, moment in {"lamp": f"2026-11-{day - 1}", "mug": f"2026-11-{day}T00:30:00", "tray": None}.items()
        ]  # fmt: skip
        visitors = [{"visitor_id": "days", "updated_at": f"2026-11-{day}", "attributes": items[0]["attributes"]}]
        warehouse.add("items", [*items, {"title": "nameless"}], arrived)
        warehouse.add("visitors", visitors, arrived)
        warehouse.add("events", rows_of(events), arrived)
        shown = {"of day": f"2026-11-{day}T00:30:00", "unreadable": "02.11.2026"}
        impressions = [
            {
                "impression_id": f"{name} {day}",
                "visitor_id": "days",
                "placement": "home",
                "item_id": "lamp",
                "shown_at": at,
            }
            for name, at in shown.items()
        ]
        warehouse.add("impressions", impressions, arrived)
        warehouse.run(*options, command="build", select=LAYERS)
    with warehouse.open() as connection:
        connection.execute(
            "insert into ml.embeddings by name select 'all-MiniLM-L6-v2' as embedding_model, 384 as dimensions, "
            "text_hash, list_resize([1.0], 384, 0.5) as embedding, 'ok' as status, 'e' as run_id, "
            "'2026-11-21 00:00:00+00'::timestamptz as created_at from catalog.item_texts"
        )
    warehouse.run(*options, command="build", select="item_embedding_keys")
    return warehouse.path


@pytest.fixture(scope="module")
def warehouses(tmp_path_factory, dbt_project):
    built = []
    for zones in ZONES:
        # DuckDB reads the machine's zone when it is imported
        with patch.dict("os.environ", TZ=zones[0]):
            pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
            arguments = *zones, dbt_project.variables, dbt_project.parse, marshal.dumps(compiled_templates)
            built.append(pool.submit(build, tmp_path_factory.mktemp("zone"), *arguments))
            pool.shutdown(wait=False)
    return [Warehouse(path.result(), None) for path in built]


def contents(warehouse):
    with warehouse.open() as connection:
        tables = connection.execute(
            "select table_schema || '.' || table_name from information_schema.tables "
            "where table_schema in ('staging', 'sessions', 'catalog', 'recommendations')"
        ).fetchall()
    return warehouse.tables({table: [OF_THE_CLOCK.get(table, "*")] for (table,) in tables})


@pytest.mark.parametrize("place", range(1, len(ZONES)), ids=lambda place: " and ".join(ZONES[place]))
def test_every_table_is_the_same_in_every_zone(warehouses, place):
    expected, found = contents(warehouses[0]), contents(warehouses[place])
    assert found.keys() == expected.keys() >= {"staging.event_batches", "catalog.item_embeddings", *OF_THE_CLOCK}
    assert [table for table, rows in expected.items() if not rows] == ["catalog.item_variants", "sessions.bot_visitors"]
    for table, rows in expected.items():
        assert found[table] == rows, table


def test_sessions_across_clock_changes_and_midnights_are_right(warehouses):
    with warehouses[1].open() as connection:
        sessions = sessionize(Event(*row) for row in connection.execute(READ_EVENTS).fetchall())
        found = connection.execute(
            "select session_id, visitor_id, started_at, ended_at from sessions.sessions"
        ).fetchall()
        late = connection.execute("select late_count, very_late_count from staging.event_batches").fetchall()
        reasons = connection.execute("select event_id, reason from staging.rejected_events").fetchall()
    assert sorted(found) == sorted((*session.row()[:4],) for session in sessions)
    assert {visitor for visitor in EVENTS if sum(row[1] == visitor for row in found) == 2} == SEVERAL_SESSIONS
    assert len(found) == len(EVENTS) + len(SEVERAL_SESSIONS) + len(LATE)
    assert sorted(late) == [(0, 0), (2, 1)]
    assert dict(reasons) == {
        "too early 0": "event_at_too_early", "too late 0": "event_at_in_future", "no time 0": "unparsable_event_at",
    }  # fmt: skip


def test_every_time_is_an_instant(warehouses):
    with warehouses[0].open() as connection:
        columns = connection.execute(
            "select table_schema || '.' || table_name || '.' || column_name, data_type from information_schema.columns "
            "where table_schema in ('raw', 'staging', 'sessions', 'catalog', 'recommendations', 'ml')"
        ).fetchall()
    times = {name: kind for name, kind in columns if kind.startswith(("TIME", "DATE"))}
    assert {kind.removesuffix("[]") for kind in times.values()} == {"TIMESTAMP WITH TIME ZONE"}
    # by their names too, so that none hides as text; what is raw may be anything
    assert [name for name, _ in columns if name.endswith("_at") and name not in times] == [
        "raw.events.event_at",
        "raw.impressions.shown_at",
        "raw.items.updated_at",
        "raw.visitors.updated_at",
    ]
