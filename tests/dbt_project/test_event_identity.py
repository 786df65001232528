"""The dbt var ``event_identity``: with item_id in it, each line of an order is an event."""

import pytest
from harness import DbtProject, Warehouse

from jobs.commands.deletion_of_person import delete_collected_rows
from jobs.commands.person import Person
from jobs.commands.rows_of_person import collect_rows_to_delete
from jobs.warehouse.connection import transaction

TABLES = {
    "staging.checked_events": "* exclude (batch_id, built_at)",
    "sessions.session_items": "* exclude (batch_id, assigned_batch_id)",
    "sessions.session_totals": "* exclude (assigned_batch_id)",
    "sessions.user_mapping": "* exclude (batch_id)",
    "sessions.sequences": "*",
}


@pytest.fixture(scope="module")
def lines_project(dbt_project) -> DbtProject:
    # an order is cut into sessions of two lines
    return dbt_project.with_vars("{max_rejected_share: 1, event_identity: [event_id, item_id], max_session_events: 2}")


def line(order, item, visitor="ann", hour=10, **others):
    return {
        "event_id": order, "item_id": item, "visitor_id": visitor, "event_type": "purchase",
        "event_at": f"2026-05-01 {hour:02}:00:00", **others,
    }  # fmt: skip


def test_each_line_of_an_order_is_an_event_in_every_table(tmp_path, lines_project, dbt_project):
    warehouse = Warehouse(tmp_path / "warehouse.duckdb", lines_project)
    warehouse.add("items", [{"item_id": item} for item in ("cup", "lamp", "mug")], "2026-06-01 00:00:00+00")
    warehouse.add(
        "events",
        [
            line("o1", "mug"), line("o1", "lamp"), line("o1", "lamp"), line("o1", "later"),
            # one id in two visits, whose sessions begin with it
            line("o2", "mug", "bob", 10), line("o2", "lamp", "bob", 15),
            # the texts of two keys are the same if one is written behind the other
            line("o:1", "mug", "dan"), line("o", "1:mug", "dan"), line("o3", "cup", "eve"), line("o3", "mug", "eve"),
            line("o4", None, "eve"),
        ],
        "2026-06-01 00:00:00+00",
    )  # fmt: skip
    warehouse.run(command="build")
    kept = [("o1", "lamp"), ("o1", "mug"), ("o2", "lamp"), ("o2", "mug"), ("o3", "cup"), ("o3", "mug"), ("o:1", "mug")]
    assert warehouse.rows("staging.stg_events", ["event_id", "item_id"]) == kept
    names = ["first_event_id", "event_count", "hour(started_at)"]
    assert warehouse.rows("sessions.sessions where visitor_id = 'bob'", names) == [
        ("o2", "1", "10"), ("o2", "1", "15"),
    ]  # fmt: skip

    # a line that comes later, one that comes again, one whose item comes later, and others under taken keys
    warehouse.add("items", [{"item_id": "later"}, {"item_id": "1:mug"}], "2026-06-02 00:00:00+00")
    warehouse.add(
        "events",
        [
            line("o1", "cup"), line("o1", "mug"), line("o1", "lamp", "bob"), line("o3", "cup", "ann", 20),
            line("o3", "mug", "ann", 21), line("o3", "mug", "ann", 21), line("o2", "lamp", "bob", 15),
        ],
        "2026-06-02 00:00:00+00",
    )  # fmt: skip
    warehouse.run(command="build")
    assert warehouse.rows("staging.rejected_events", ["event_id", "reason", "raw_row ->> 'item_id' as item_id"]) == [
        ("o1", "duplicate_event_id", "lamp"), ("o3", "duplicate_event_id", "cup"), ("o3", "duplicate_event_id", "mug"),
        ("o4", "missing_item_id", None),
    ]  # fmt: skip
    # four lines of one moment, two in a session
    items = ["item_id", "position", "first_event_id", "cut_reason"]
    with_names = (
        "sessions.session_items inner join (select session_id, first_event_id from sessions.session_totals) "
        "using (session_id)"
    )
    assert warehouse.rows(f"{with_names} where visitor_id = 'ann'", items) == [
        ("cup", "1", "o1", None), ("lamp", "2", "o1", None),
        ("later", "1", "o1", "max_session_events"), ("mug", "2", "o1", "max_session_events"),
    ]  # fmt: skip

    # two lines of another person's move up, each into the place of its own key
    person = Person("visitor", "eve")
    with warehouse.open() as connection:
        collect_rows_to_delete(connection, person)
        with transaction(connection):
            delete_collected_rows(connection, person, withdrawn_row_count=0)
    warehouse.run(command="build")
    moved = warehouse.rows("staging.stg_events where event_id = 'o3'", ["item_id", "visitor_id"])
    assert moved == [("cup", "ann"), ("mug", "ann")]
    tables = {table: [columns] for table, columns in TABLES.items()}
    incremental = warehouse.tables(tables)
    warehouse.run("--full-refresh")
    assert incremental == warehouse.tables(tables)

    # back to the default without a full refresh
    other_setting = Warehouse(warehouse.path, dbt_project)
    with pytest.raises(AssertionError, match=r"event_identity has changed: 10 events .* than event_id; run once with"):
        other_setting.run(command="test", select="one_event_identity")


def test_a_change_of_the_identity_stops_the_build_until_a_full_refresh(warehouse, lines_project):
    warehouse.add("items", [{"item_id": "lamp"}, {"item_id": "mug"}], "2026-06-01 00:00:00+00")
    warehouse.add("events", [line("o1", "lamp"), line("o1", "mug")], "2026-06-01 00:00:00+00")
    models = "stg_items int_events_typed int_events_checked"
    warehouse.run(select=models)
    of_lines = Warehouse(warehouse.path, lines_project)
    with pytest.raises(AssertionError, match=r"has changed: 1 events .* than event_id and item_id; run once"):
        of_lines.run(command="test", select="one_event_identity")
    of_lines.run("--full-refresh", select=models)
    of_lines.run(command="test", select="one_event_identity")
    assert len(of_lines.rows("staging.checked_events where reject_reason is null")) == 2


@pytest.mark.parametrize("identity", ["[item_id]", "event_id"])
def test_dbt_alone_refuses_a_wrong_identity_and_names_the_right_ones(warehouse, identity):
    with pytest.raises(AssertionError, match=r"event_identity is \['event_id'\] or \['event_id', 'item_id'\], not "):
        warehouse.run("--vars", f"{{event_identity: {identity}}}", command="compile", select="int_events_checked")


@pytest.mark.parametrize("hours", ["0", "a day", "true"])
def test_dbt_alone_refuses_a_wrong_length_of_the_trackers_sessions(warehouse, hours):
    with pytest.raises(AssertionError, match="max_source_session_hours is a number above 0, not "):
        warehouse.run("--vars", f"{{max_source_session_hours: {hours}}}", command="compile", select="session_items")
