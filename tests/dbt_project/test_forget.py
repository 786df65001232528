"""Forgetting people: nothing of them stays in any table, and what others did is as if they had never been there."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from harness import Warehouse

from jobs.commands import deletion_of_person
from jobs.commands.forget import forget
from jobs.commands.person import Person
from jobs.errors import NextmartError, UsageError
from jobs.settings import Settings
from jobs.warehouse.job_runs import job_run

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
FIRST_ARRIVAL = datetime(2026, 2, 1, tzinfo=UTC)

EVERYTHING = {
    "staging.checked_events": "* exclude (batch_id, built_at)",
    "sessions.session_items": "* exclude (batch_id, assigned_batch_id)",
    "sessions.session_totals": "* exclude (assigned_batch_id)",
    "sessions.user_mapping": "* exclude (batch_id)",
    "sessions.sequences": "*",
}

LISTS = """
    insert into ml.recommendations
    select 'run', 'model', visitor_id, 0, 1, 'lamp', 1, 'popularity', 'lamp', now(), 'model'
    from (select distinct visitor_id from sessions.session_items);
    insert into ml.placement_lists
    select 'home', visitor_id, 1, 1, 'model', 0, null, 'run', now(), 'model' from ml.recommendations;
    insert into ml.placement_recommendations
    select 'home', visitor_id, 1, 'lamp', 1, 'popularity', 'lamp' from ml.recommendations;
    insert into ml.published_lists
    select 'home', visitor_id, 1, 'lamp', 'sasrec', 'model', 'sasrec', 'model', now(), null from ml.recommendations;
    create schema if not exists recommendations;
    create or replace table recommendations.visitor_recommendations as from ml.recommendations;
"""

# visitors and users carry long ids, that can be searched for
ANN, BOB, SHARED = "visitor-ann", "visitor-bob", "visitor-shared"
USER, OTHER = "user-of-ann", "user-of-bob"


def event(number: int, visitor: str | None, hour: float, user: str | None = None, **others: str) -> dict:
    moment = FIRST_DAY + timedelta(hours=hour)
    return {
        "event_id": f"e{number}", "visitor_id": visitor, "user_id": user, "item_id": "lamp", "event_type": "view",
        "event_at": f"{moment:%Y-%m-%d %H:%M:%S}", **others,
    }  # fmt: skip


EVENTS = [
    event(1, ANN, 1, USER),
    event(2, f" {ANN} ", 1.1),  # before a login; staging trims the id
    event(3, ANN, 2, event_at="soon"),  # rejected: the whole row is kept
    event(4, ANN, 3, item_id="unknown"),
    event(5, BOB, 1, OTHER),
    event(6, BOB, 9),
    event(7, SHARED, 1, USER),
    event(8, SHARED, 1.2, OTHER),  # between two of another user: one session in all
    event(9, SHARED, 1.4, USER),
    event(10, SHARED, 5, OTHER),
    event(11, SHARED, 6),  # after the other user's login: not ours
    event(12, None, 1, USER),  # rejected, without a visitor
]


@pytest.fixture(scope="module")
def two_builds(tmp_path_factory, dbt_project):
    """A warehouse after two builds and a run of recommendations."""
    warehouse = Warehouse(tmp_path_factory.mktemp("lived-in") / "warehouse.duckdb", dbt_project)
    warehouse.add("items", [{"item_id": "lamp"}], FIRST_ARRIVAL)
    warehouse.add("events", EVENTS[:6], FIRST_ARRIVAL)
    warehouse.run(select="staging intermediate sessions")
    warehouse.add("events", EVENTS[6:], FIRST_ARRIVAL + timedelta(days=1))
    warehouse.run(select="staging intermediate sessions")
    with warehouse.open() as connection:
        connection.execute(LISTS)
    return warehouse


@pytest.fixture
def lived_in(two_builds, tmp_path):
    """Return a copy of the warehouse that the test may change."""
    return Warehouse(Path(shutil.copy(two_builds.path, tmp_path)), two_builds.project)


def go(warehouse, scope: str, name: str, **settings: object):
    """Run the command's work; return the run."""
    chosen = Settings(warehouse=warehouse.path, published=warehouse.path.with_name("published.duckdb"), **settings)
    with warehouse.open() as connection, job_run(connection, "forget") as run:
        forget(connection, chosen, Person(scope, name), run)
    return run


def mentions(warehouse, name: str) -> list[str]:
    """Return each table or view, with the column, where a value holds the text."""
    found = []
    with warehouse.open() as connection:
        tables = connection.execute(
            "select schema_name, table_name, list(column_name) from duckdb_columns() "
            "where database_name = 'warehouse' group by all"
        ).fetchall()
        for schema, table, columns in tables:
            holds = ", ".join(f'bool_or(contains("{column}"::varchar, $name))' for column in columns)
            held = connection.execute(f'select {holds} from {schema}."{table}"', {"name": name}).fetchone()
            found += [f"{schema}.{table}.{column}" for column, is_held in zip(columns, held, strict=True) if is_held]
    return found


def contents(warehouse) -> dict[str, list]:
    return warehouse.tables({table: [columns] for table, columns in EVERYTHING.items()})


def assert_equal_to_a_full_refresh(warehouse) -> None:
    warehouse.run()
    incremental = contents(warehouse)
    warehouse.run("--full-refresh")
    assert incremental == contents(warehouse)


def test_events_whose_user_is_a_null_word_go_with_the_user_of_their_device(warehouse):
    warehouse.add("events", [event(1, ANN, 1, USER), event(2, ANN, 2, "NA"), event(3, BOB, 1, "NA")], FIRST_ARRIVAL)
    go(warehouse, "user", USER)
    assert warehouse.rows("raw.events", ["event_id"]) == [("e3",)]


def test_nothing_of_a_visitor_stays_in_any_table(lived_in):
    assert "staging.checked_events.raw_row" in mentions(lived_in, ANN)
    run = go(lived_in, "visitor", f"{ANN} ")
    assert mentions(lived_in, ANN) == []
    assert run.detail["deleted"] == {
        "raw.events": 4, "staging.checked_events": 4, "sessions.session_items": 2, "sessions.session_totals": 1,
        "sessions.user_mapping": 1, "ml.recommendations": 1, "recommendations.visitor_recommendations": 1,
        "ml.placement_lists": 1, "ml.placement_recommendations": 1, "ml.published_lists": 1,
    }  # fmt: skip
    recorded = lived_in.rows("ml.deletions", ["* exclude (deletion_id, deleted_at, model_number)"])
    assert recorded == [("visitor", "3", "4", "2", "1", "1", "0", "2026-02-01 00:00:00+00")]
    others = lived_in.rows("raw.events", ["event_id"])
    assert len(others) == len(EVENTS) - 4
    assert_equal_to_a_full_refresh(lived_in)


def test_a_user_goes_from_shared_devices_and_others_stay(lived_in):
    go(lived_in, "user", USER)
    assert mentions(lived_in, USER) == []
    assert mentions(lived_in, ANN) == [], "without a login too, on a device of the user's own"
    assert mentions(lived_in, SHARED) != []
    assert {name for (name,) in lived_in.rows("raw.events", ["event_id"])} == {"e5", "e6", "e8", "e10", "e11"}
    assert lived_in.rows("ml.recommendations", ["visitor_id"]) == [(BOB,)]
    logs = {table: ["*"] for table in ("staging.event_batches", "sessions.session_changes")}
    before = lived_in.tables(logs)
    lived_in.run()
    assert lived_in.tables(logs) == before, "what remains neither arrived nor changed"
    assert [row[0] for row in lived_in.rows("sessions.session_totals", ["first_event_id"])] == [
        "e10", "e11", "e5", "e6", "e8",
    ]  # fmt: skip
    assert_equal_to_a_full_refresh(lived_in)


def test_what_is_known_of_the_persons_devices_goes_with_its_history(lived_in):
    for day, attributes in enumerate(['{"plan": "gold"}', '{"plan": "free"}']):
        rows = [{"visitor_id": visitor, "attributes": attributes} for visitor in (f" {ANN} ", BOB, SHARED)]
        lived_in.add("visitors", rows, FIRST_ARRIVAL + timedelta(days=2 + day))
        lived_in.run("--exclude-resource-type", "test", command="build", select="stg_visitors visitors visitor_history")
    shown = [{"visitor_id": visitor, "item_id": "lamp"} for visitor in (f" {ANN} ", ANN, BOB, SHARED)]
    lived_in.add("impressions", shown, FIRST_ARRIVAL + timedelta(days=2))
    with lived_in.open() as connection:
        connection.execute(
            "insert into raw.unreadable_rows by name "
            "select unnest(['visitors', 'impressions']) as table_name, $row as raw_row",
            {"row": f"1;{ANN};"},
        )
    deleted = go(lived_in, "user", USER).detail["deleted"]
    assert mentions(lived_in, ANN) == []
    assert {table: deleted[table] for table in deletion_of_person.TABLES_OF_ATTRIBUTES} == {
        "raw.visitors": 2, "staging.stg_visitors": 1, "catalog.visitor_history": 2,
    }  # fmt: skip
    assert deleted["raw.impressions"] == 2
    assert lived_in.rows("raw.impressions", ["visitor_id"]) == [(BOB,), (SHARED,)]
    # the last login on the shared device is another user's
    of_others = [(BOB,), (BOB,), (SHARED,), (SHARED,)]
    assert lived_in.rows("catalog.visitor_history", ["visitor_id"]) == of_others
    with lived_in.open() as connection:
        connection.execute("alter table raw.visitors rename to theirs; create view raw.visitors as from raw.theirs")
    with pytest.raises(
        NextmartError, match=r"raw\.visitors is a view of yours, which still shows 2 rows of this visitor"
    ):
        go(lived_in, "visitor", BOB)
    with lived_in.open() as connection:
        connection.execute("drop view raw.visitors; alter table raw.impressions rename to shown")
        connection.execute("create table raw.visitors as from raw.theirs")
        connection.execute("create view raw.impressions as from raw.shown")
    with pytest.raises(
        NextmartError, match=r"raw\.impressions is a view of yours, which still shows 1 rows of this visitor"
    ):
        go(lived_in, "visitor", BOB)


def test_a_device_that_no_build_has_seen_is_the_users_too(lived_in):
    lived_in.add(
        "events",
        [event(20, "unseen-device", 1, USER), event(21, "unseen-device", 1.5)],
        FIRST_ARRIVAL + timedelta(days=2),
    )
    go(lived_in, "user", USER)
    assert mentions(lived_in, "unseen-device") == []


def test_an_event_under_the_id_of_a_forgotten_one_moves_up(lived_in):
    again = [event(1, BOB, 20), event(1, BOB, 20), event(1, BOB, 21), event(4, BOB, 22, item_id="unknown")]
    for day, row in enumerate(again, start=2):
        lived_in.add("events", [row], FIRST_ARRIVAL + timedelta(days=day))
    lived_in.run()
    go(lived_in, "visitor", ANN)
    assert_equal_to_a_full_refresh(lived_in)
    reasons = lived_in.rows("staging.checked_events", ["event_id", "reject_reason"])
    assert [row for row in reasons if row[0] in ("e1", "e4")] == [
        ("e1", "duplicate_event_id"), ("e1", None), ("e4", "unknown_item"),
    ]  # fmt: skip


def test_numbers_of_builds_are_never_given_twice(lived_in):
    lived_in.add("events", [event(30, "last", 1)], FIRST_ARRIVAL + timedelta(days=3))
    lived_in.run()
    go(lived_in, "visitor", "last")  # all that the newest build took up
    lived_in.add("events", [event(31, BOB, 50)], FIRST_ARRIVAL + timedelta(days=4))
    lived_in.run()
    batches = "select batch_id, event_count, late_count, slipped_count from staging.event_batches"
    assert lived_in.rows(f"({batches})")[-1] == ("5", "1", "0", "0")
    assert lived_in.rows("sessions.session_changes", ["batch_id", "opened_count"])[-1] == ("5", "1")


def test_rows_that_slip_past_are_still_counted_after_a_deletion(lived_in):
    [(settled,)] = lived_in.rows("(from staging.event_batches order by batch_id desc limit 1)", ["settled_count"])
    go(lived_in, "visitor", ANN)
    [(lowered,)] = lived_in.rows("(from staging.event_batches order by batch_id desc limit 1)", ["settled_count"])
    assert int(settled) - int(lowered) == 4, "all arrived a day before the newest build's rows"
    lived_in.add("events", [event(40, BOB, 2)], FIRST_ARRIVAL)  # a transaction that was a day late
    lived_in.add("events", [event(41, BOB, 60)], FIRST_ARRIVAL + timedelta(days=2))
    lived_in.run()
    assert lived_in.rows("(from staging.event_batches order by batch_id desc limit 1)", ["slipped_count"]) == [("1",)]


def test_a_view_of_the_users_own_that_shows_the_person_is_an_error_and_changes_nothing(lived_in):
    with lived_in.open() as connection:
        # without the optional columns
        connection.execute("""
            create table main.theirs as from raw.events; drop table raw.events;
            create view raw.events as select * exclude (source_session_id, user_agent) from main.theirs
        """)
    before = contents(lived_in)
    for scope, name, count in (("visitor", ANN, 4), ("user", USER, 7)):
        with pytest.raises(NextmartError, match=rf"raw\.events is a view of yours.* {count} events.*Nothing was chan"):
            go(lived_in, scope, name)
    assert contents(lived_in) == before
    assert lived_in.rows("ml.deletions") == []
    with lived_in.open() as connection:
        connection.execute("delete from main.theirs where trim(visitor_id) = $ann", {"ann": ANN})
    go(lived_in, "visitor", ANN)
    assert mentions(lived_in, ANN) == []
    assert_equal_to_a_full_refresh(lived_in)


def test_killed_before_the_commit_nothing_is_gone_and_the_next_time_everything_is(lived_in, monkeypatch):
    before = contents(lived_in), lived_in.rows("raw.events"), lived_in.rows("staging.event_batches")

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(deletion_of_person, "now", killed)  # asked for the record, the last statement
        with pytest.raises(KeyboardInterrupt):
            go(lived_in, "user", USER)
    assert (contents(lived_in), lived_in.rows("raw.events"), lived_in.rows("staging.event_batches")) == before
    assert lived_in.rows("ml.deletions") == []
    go(lived_in, "user", USER)
    assert mentions(lived_in, USER) == []
    assert_equal_to_a_full_refresh(lived_in)


def test_doing_it_again_finds_nothing_and_records_nothing(lived_in):
    assert go(lived_in, "user", USER).status == "done"
    again = go(lived_in, "user", USER)
    assert (again.status, again.rows_out) == ("unchanged", 0)
    assert len(lived_in.rows("ml.deletions")) == 1


def test_a_warehouse_that_was_never_built_forgets_too(warehouse):
    warehouse.add("events", EVENTS, FIRST_ARRIVAL)
    go(warehouse, "visitor", ANN)
    go(warehouse, "user", USER)
    assert mentions(warehouse, ANN) == mentions(warehouse, USER) == []
    recorded = warehouse.rows("ml.deletions", ["raw_event_count", "usable_event_count", "first_loaded_at"])
    assert recorded == [("4", "0", None), ("4", "0", None)]


def test_an_id_is_data_and_never_sql(lived_in):
    strange = "it's; drop table raw.events --"
    lived_in.add("events", [event(50, strange, 1, strange)], FIRST_ARRIVAL)
    assert go(lived_in, "visitor", strange).detail["deleted"]["raw.events"] == 1
    assert len(lived_in.rows("raw.events")) == len(EVENTS)


def test_an_error_is_kept_without_the_id(lived_in):
    with lived_in.open() as connection:
        connection.execute(f"alter table ml.deletions add column reason varchar default error('{ANN} is refused')")
    with pytest.raises(NextmartError, match="… is refused"):
        go(lived_in, "visitor", ANN)
    assert ANN not in str(lived_in.rows("ml.job_runs"))


def test_checkpoints_go_with_the_events_that_they_have_learnt_from(lived_in, tmp_path):
    checkpoint = tmp_path / "work" / "checkpoints" / "recipe-data.safetensors"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    go(lived_in, "visitor", "nobody", work_folder=tmp_path / "work")
    assert checkpoint.exists()
    go(lived_in, "visitor", ANN, work_folder=tmp_path / "work")
    assert not checkpoint.exists()


@pytest.mark.parametrize("given", [(None, None), ("v", "u"), ("", None), (None, " \t")])
def test_one_person_has_to_be_named(given):
    with pytest.raises(UsageError, match="either --visitor ID or --user ID"):
        Person.from_ids(*given)
