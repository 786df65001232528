"""Property: however events are cut into builds, the tables end as one build of all of them makes them.

The histories are those of ``histories.py``; a ``MemoryWarehouse`` lives through hundreds of them. One test compares it
with dbt itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from random import Random

import duckdb
import pytest
from harness import DbtProject, Warehouse
from histories import FIRST_ARRIVAL, SHARED_BY_BOB, VISIT_THAT_GOES_ON, histories
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import find as example_of
from hypothesis import strategies as st
from memory_warehouse import Batch, MemoryWarehouse, Model, rendered_models
from reference import READ_EVENTS, REFERENCE, Event, sessionize

from jobs.commands.person import Person

EXAMPLES = 200
LONGEST_SOURCE_SESSION = timedelta(hours=2)
SETTINGS = f"{{max_source_session_hours: {LONGEST_SOURCE_SESSION // timedelta(hours=1)}}}"

# builds differ: a full refresh starts counting again
TABLES = [
    "select * exclude (batch_id, built_at) from staging.checked_events order by all",
    "select * exclude (batch_id, assigned_batch_id) from sessions.session_items order by all",
    "select * exclude (assigned_batch_id) from sessions.session_totals order by all",
    "select * exclude (assigned_batch_id) from sessions.sessions order by all",
    "select * exclude (batch_id) from sessions.user_mapping order by all",
    "select * from sessions.sequences order by all",
]
EVERY_COLUMN = [
    "select * exclude (built_at) from staging.checked_events order by all",
    "select * from sessions.session_items order by all",
    "select * from sessions.session_totals order by all",
    "select * from sessions.session_changes order by all",
    "select * from staging.event_batches order by all",
]


@pytest.fixture(scope="module")
def models(dbt_project: DbtProject, tmp_path_factory) -> list[Model]:
    path = tmp_path_factory.mktemp("rendered") / "warehouse.duckdb"
    models = rendered_models(dbt_project, path, SETTINGS)
    assert {model.name for model in models if model.materialized == "incremental"} == {
        "checked_events", "event_batches", "session_items", "session_totals", "session_changes", "user_mapping",
    }  # fmt: skip
    return models


@pytest.fixture(scope="module")
def memory(models: list[Model]) -> Iterator[MemoryWarehouse]:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield MemoryWarehouse(connection, models)


def test_a_warehouse_in_memory_has_the_tables_that_dbt_makes(warehouse: Warehouse, memory: MemoryWarehouse):
    memory.live_through(SHARED_BY_BOB)
    for batch in SHARED_BY_BOB:
        warehouse.add("events", batch.events, batch.loaded_at)
        warehouse.add("items", [{"item_id": item} for item in batch.items], batch.loaded_at)
        warehouse.run("--vars", SETTINGS)
    with warehouse.open() as connection:
        for table in EVERY_COLUMN:
            assert memory.rows(table) == connection.execute(table).fetchall()
            assert memory.rows(table)


PROPERTY = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip


def built_and_refreshed(memory: MemoryWarehouse, history: list[Batch]) -> list[dict[str, list[tuple]]]:
    """Return all tables after the history's builds, and after a full refresh of the same rows."""
    memory.live_through(history)
    built = {query: memory.rows(query) for query in TABLES}
    memory.reverse_events()
    memory.refresh()
    return [built, {query: memory.rows(query) for query in TABLES}]


@PROPERTY
@example(history=SHARED_BY_BOB)
@example(history=VISIT_THAT_GOES_ON)
@given(history=histories())
def test_any_split_into_builds_gives_the_tables_of_one_build(memory, history):
    built, refreshed = built_and_refreshed(memory, history)
    for query in TABLES:
        assert built[query] == refreshed[query]

    expected = sessionize((Event(*row) for row in memory.rows(READ_EVENTS)), LONGEST_SOURCE_SESSION)
    for query, rows in REFERENCE.items():
        assert sorted(memory.rows(query)) == sorted(rows(expected))


WINDOW_FAULT = "getvariable('earliest_affected_visit_start')", "getvariable('earliest_time_near_new_events')"
NUMBERING_FAULT = (
    "last_value(case when starts_visit then md5(visitor_id || ':' || event_id) end ignore nulls) over rows_so_far",
    "md5(visitor_id || ':' || count(*) filter (where starts_visit) over rows_so_far)",
)
NULL_FAULT = (
    "known_events.source_session_id is not distinct from affected_visits.source_session_id",
    "known_events.source_session_id = affected_visits.source_session_id",
)


@contextmanager
def faulty(models: list[Model], right: str, wrong: str) -> Iterator[MemoryWarehouse]:
    faulty_models = [model.with_fault(right, wrong) for model in models]
    assert faulty_models != models, f"no model holds {right!r} any more"
    with duckdb.connect(config={"threads": 1}) as connection:
        yield MemoryWarehouse(connection, faulty_models)


# faults that other packages were shipped with
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        pytest.param(*WINDOW_FAULT, id="a_window_cuts_sessions_at_its_edge"),
        pytest.param(*NUMBERING_FAULT, id="sessions_are_numbered"),
        pytest.param(*NULL_FAULT, id="a_comparison_drops_nulls"),
    ],
)
def test_the_property_shows_known_faults(models, right, wrong):
    with faulty(models, right, wrong) as memory:
        built, refreshed = built_and_refreshed(memory, VISIT_THAT_GOES_ON)
    assert built != refreshed


def test_the_histories_find_a_known_fault(models):
    with faulty(models, *NUMBERING_FAULT) as memory:

        def is_found(history):
            built, refreshed = built_and_refreshed(memory, history)
            return built != refreshed

        # a seed with which the search is short
        search = settings(PROPERTY, phases=[Phase.generate], derandomize=False)
        assert example_of(histories(), is_found, settings=search, random=Random(3))


people = st.builds(Person, st.just("visitor"), st.sampled_from(["ann", "bob"])) | st.just(Person("user", "u1"))


@settings(PROPERTY, max_examples=EXAMPLES // 2)
@example(history=SHARED_BY_BOB, forgotten={2: Person("visitor", "bob")})
@given(history=histories(), forgotten=st.dictionaries(st.integers(0, 4), people, min_size=1, max_size=3))
def test_people_forgotten_between_builds_leave_the_tables_of_one_build_of_the_rest(memory, history, forgotten):
    memory.live_through([*history, Batch([], [], FIRST_ARRIVAL, 99)], forgotten)
    incremental = {query: memory.rows(query) for query in TABLES}
    logged = "select count(*) - count(distinct batch_id) from {}"
    assert memory.rows(logged.format("staging.event_batches")) == [(0,)]
    assert memory.rows(logged.format("sessions.session_changes")) == [(0,)]
    memory.refresh()
    for query in TABLES:
        assert incremental[query] == memory.rows(query)
