"""Property: however events are cut into builds, the tables end as one build of all of them makes them.

dbt takes about a second a build, too slow for hundreds of histories. So dbt renders the models once, as a first build
and as an incremental one, and the tests run these statements in memory the way dbt-duckdb does: views and tables
replaced, incremental tables by delete and insert on their unique key, then the post-hook. What this leaves out is dbt's
own part, which ``test_cases.py`` exercises: materialization macros, transactions, and that is_incremental() is true
when it should be.

A history is drawn with what goes wrong in real ones: a few visitors with gaps of just under, exactly and just over the
limit; sessions of the tracker that several visitors share, or that last too long; equal times; late arrivals; ids that
come again with the same or another payload; items whose catalogue row comes later or never; broken rows; rows that a
slow transaction committed after a build; builds that stopped after any of the models.

Left out: a row that becomes visible after a build and is older, by ``loaded_at``, than one which that build took up,
under an id that both have. The one which was taken up first stays; a full refresh would prefer the older one.
"""

from collections import Counter, defaultdict
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import duckdb
import pytest
from harness import RAW_COLUMNS
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import find as example_of
from hypothesis import strategies as st
from reference import READ_EVENTS, REFERENCE, Event, sessionize

from jobs.commands.forget import Person, collect_rows_to_delete, delete_collected_rows
from jobs.warehouse.connection import Connection, prepare_warehouse, transaction

EXAMPLES = 200
LONGEST_SOURCE_SESSION = timedelta(hours=2)

FIRST_DAY = datetime(2026, 1, 1, 10, tzinfo=UTC)
FIRST_ARRIVAL = datetime(2026, 2, 1, tzinfo=UTC)
# builds differ: a full refresh starts counting again
TABLES = [
    "select * exclude (batch_id, built_at) from staging.checked_events order by all",
    "select * exclude (batch_id, assigned_batch_id) from sessions.session_items order by all",
    "select * exclude (assigned_batch_id) from sessions.session_totals order by all",
    "select * exclude (assigned_batch_id) from sessions.sessions order by all",
    "select * exclude (batch_id) from sessions.user_mapping order by all",
    "select * from sessions.sequences order by all",
]
# --- the models, rendered by dbt, run as dbt-duckdb runs them ---


@dataclass(frozen=True)
class Model:
    """One model as dbt rendered it."""

    relation: str
    materialized: str
    unique_key: str | None
    predicates: list[str]
    first_hooks: "Hooks"
    first_sql: str
    incremental_hooks: "Hooks"
    incremental_sql: str

    def build(self, connection: Connection, first: bool, views: dict[str, str]) -> None:
        """Build the model as dbt does; ``views`` holds the SQL of each view, which is made again if it differs."""
        first = first or self.materialized != "incremental"
        hooks = self.first_hooks if first else self.incremental_hooks
        for statement in hooks.before:
            connection.execute(statement)
        if self.materialized == "view":
            if views.get(self.relation) != self.first_sql:
                connection.execute(f"create or replace view {self.relation} as {self.first_sql}")
                views[self.relation] = self.first_sql
        elif first:
            connection.execute(f"create or replace table {self.relation} as {self.first_sql}")
        else:
            connection.execute(f"create or replace temp table built as {self.incremental_sql}")
            if self.unique_key:
                where = " and ".join([f"{self.unique_key} in (select {self.unique_key} from built)", *self.predicates])
                connection.execute(f"delete from {self.relation} where {where}")
            connection.execute(f"insert into {self.relation} by name from built")
        for statement in hooks.after:
            connection.execute(statement)


@dataclass(frozen=True)
class Hooks:
    """The statements that dbt ran before and after a model."""

    before: list[str]
    after: list[str]


class MemoryWarehouse:
    """A warehouse in memory, under the name that the rendered statements use."""

    def __init__(self, connection: Connection, models: list[Model]):
        self.connection = connection
        self.models = models
        self.views = {}
        self.catalogues = {}
        connection.execute("attach ':memory:' as warehouse; use warehouse; set TimeZone = 'UTC'")
        connection.execute("create schema staging; create schema sessions")
        prepare_warehouse(connection)

    def add(self, batch: "Batch") -> None:
        columns = [*RAW_COLUMNS["events"], "loaded_at"]
        values = [event[name] for event in batch.events for name in columns]
        places = ", ".join(["(" + ", ".join("?" * len(columns)) + ")"] * len(batch.events))
        if values:
            self.connection.execute(f"insert into raw.events values {places}", values)
        for item in batch.items:
            self.connection.execute("insert into raw.items (item_id, loaded_at) values (?, ?)", [item, batch.loaded_at])

    def live_through(self, history: list["Batch"], forgotten: dict[int, Person] | None = None) -> None:
        """Add the batches one by one, each followed by a build; a model's first build is never incremental.

        ``forgotten`` are people by the number of the build after which they go.
        """
        self.connection.execute("delete from raw.events; delete from raw.items; delete from ml.deletions")
        built = set()
        for number, batch in enumerate(history):
            self.add(batch)
            for model in self.models[: batch.models_run]:
                self.build(model, first=model.relation not in built)
                built.add(model.relation)
            if number in (forgotten or {}):
                collect_rows_to_delete(self.connection, forgotten[number])
                with transaction(self.connection):
                    delete_collected_rows(self.connection, forgotten[number], published_count=0)

    def refresh(self) -> None:
        """Build all tables of all rows, with DuckDB's plans as they are before it makes them better.

        The tables may not depend on the plan, and a tiny table is built in half the time.
        """
        self.connection.execute("pragma disable_optimizer")
        for model in self.models:
            self.build(model, first=True)
        self.connection.execute("pragma enable_optimizer")

    def build(self, model: Model, *, first: bool) -> None:
        """Build a model; the table of the catalogue is made again only if its SQL or its rows differ."""
        if model.relation.endswith('."stg_items"'):
            catalogue = model.first_sql, self.rows("select item_id, loaded_at from raw.items order by all")
            if self.catalogues.get(model.relation) == catalogue:
                return
            self.catalogues[model.relation] = catalogue
        model.build(self.connection, first=first, views=self.views)

    def rows(self, query: str) -> list[tuple]:
        return self.connection.execute(query).fetchall()

    def with_fault(self, right: str, wrong: str) -> "MemoryWarehouse":
        """Return the same warehouse with models in which a piece of SQL is replaced by another."""
        models = [
            replace(
                model,
                first_sql=model.first_sql.replace(right, wrong),
                incremental_sql=model.incremental_sql.replace(right, wrong),
            )
            for model in self.models
        ]
        assert models != self.models, f"no model holds {right!r} any more"
        faulty = copy(self)
        faulty.models = models
        return faulty


def in_order(nodes: dict) -> list:
    """Return the models in an order in which each model follows the models that it reads."""
    ordered = {}
    while len(ordered) < len(nodes):
        ordered |= {name: nodes[name] for name in nodes if {*nodes[name].depends_on.nodes} & {*nodes} <= {*ordered}}
    return list(ordered.values())


def rendered(dbt_project, path) -> dict[str, tuple]:
    """Run the models once: by name, the node, its SQL and the hooks, as dbt ran them."""
    heard = []
    settings_of_models = ["--vars", f"{{max_source_session_hours: {LONGEST_SOURCE_SESSION // timedelta(hours=1)}}}"]
    # the histories have no rows of visitors
    layers = ["--select", "staging", "intermediate", "sessions", "--exclude", "stg_visitors"]
    results = dbt_project.invoke(path, "run", *layers, *settings_of_models, heard=heard).results
    statements = defaultdict(list)
    for event in heard:
        if event.info.name == "SQLQuery":
            statements[event.data.node_info.unique_id].append(event.data.sql)
    found = {}
    for node in (result.node for result in results if result.node.resource_type == "model"):
        ran = statements[node.unique_id]
        before = [sql for sql in ran if "set variable" in sql]
        after = [hook.sql.replace("{{ this }}", node.relation_name) for hook in node.config.post_hook]
        assert len(before) == len(node.config.pre_hook)
        found[node.unique_id] = (node, node.compiled_code, Hooks(before, after))
    return found


@pytest.fixture(scope="module")
def memory(dbt_project, tmp_path_factory):
    """Build an empty warehouse twice: what dbt ran is the first and the incremental form of each model."""
    path = tmp_path_factory.mktemp("rendered") / "warehouse.duckdb"
    first, incremental = (rendered(dbt_project, path) for _ in range(2))
    models = [
        Model(
            relation=node.relation_name,
            materialized=node.config.materialized,
            unique_key=node.config.unique_key,
            predicates=node.config.get("incremental_predicates", []),
            first_hooks=first[node.unique_id][2],
            first_sql=first[node.unique_id][1],
            incremental_hooks=incremental[node.unique_id][2],
            incremental_sql=incremental[node.unique_id][1],
        )
        for node in in_order({name: node for name, (node, *_) in incremental.items()})
    ]
    assert {model.relation.split(".")[-1].strip('"') for model in models if model.materialized == "incremental"} == {
        "checked_events", "event_batches", "session_items", "session_totals", "session_changes", "user_mapping",
    }  # fmt: skip
    with duckdb.connect(config={"threads": 1}) as connection:
        yield MemoryWarehouse(connection, models)


# --- histories ---


@dataclass(frozen=True)
class Batch:
    events: list[dict]
    items: list[str]
    loaded_at: datetime
    models_run: int  # the build was interrupted after so many


def time_text(moment: datetime, form: int) -> str:
    forms = [
        f"{moment:%Y-%m-%d %H:%M:%S}",
        f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        f"{moment + timedelta(hours=2):%Y-%m-%dT%H:%M:%S+02:00}",
        str(int(moment.timestamp())),
    ]
    return forms[form % len(forms)]


def respelt(row: dict, form: int) -> dict:
    """Return the row with its time in another form, where that is known: still the same event."""
    try:
        moment = datetime.strptime(row["event_at"] or "", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return row
    return {**row, "event_at": time_text(moment, form)}


# times lie on a grid of 30 minutes, some a second off: so gaps under, at and over the limit are all likely
moments = st.builds(
    lambda half_hours, seconds: FIRST_DAY + timedelta(minutes=30 * half_hours, seconds=seconds),
    st.integers(0, 9), st.sampled_from([0, 0, 0, -1, 1, 600]),
)  # fmt: skip

event_rows = st.fixed_dictionaries({
    "event_id": st.integers(1, 60).map(lambda number: f"e{number:02}"),
    "visitor_id": st.sampled_from(["ann", "ann", "bob"]),
    "user_id": st.sampled_from([None, None, "u1", "u2"]),
    "item_id": st.sampled_from(["lamp", "lamp", "mug", "late", "later", "never"]),
    "event_type": st.sampled_from(["view", "view", "purchase"]),
    "event_at": st.builds(time_text, moments, st.sampled_from([0, 0, 0, 0, 1, 2, 3])),
    "source_session_id": st.sampled_from([None] * 5 + ["s1", "s2", "s3", "s4"]),
    "user_agent": st.sampled_from([None, None, "Googlebot/2.1"]),
})  # fmt: skip
faults = st.sampled_from(
    [{}] * 25
    + [{"event_id": None}, {"visitor_id": " "}, {"item_id": None}, {"event_type": ""}]
    + [{"event_at": None}, {"event_at": "soon"}, {"event_at": "1970-01-01"}, {"event_at": "2031-01-01"}]
)


@st.composite
def histories(draw) -> list[Batch]:
    drawn = draw(st.lists(st.builds(dict.__or__, event_rows, faults), min_size=1, max_size=24))
    repeated = draw(st.lists(st.builds(respelt, st.sampled_from(drawn), st.integers(0, 3)), max_size=4))
    rows = draw(st.permutations([*drawn, *repeated]))
    cuts = draw(st.lists(st.integers(0, len(rows)), max_size=4).map(sorted))
    item_batch = {item: draw(st.integers(0, len(cuts))) for item in ("late", "later")}
    ids = Counter(row["event_id"] for row in rows)
    batches = []
    arrival = FIRST_ARRIVAL
    for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(rows)], strict=True)):
        before = arrival
        # within the overlap of arrivals, at its edge, beyond it
        arrival += timedelta(minutes=draw(st.sampled_from([1, 60, 61, 1440])))
        events = []
        for row in rows[start:end]:
            loaded_at = arrival + timedelta(seconds=draw(st.integers(0, 5)))
            if ids[row["event_id"]] == 1:
                # committed after the last build, but older than rows of it; or without a time
                early = before - timedelta(minutes=draw(st.sampled_from([1, 30, 59])))
                loaded_at = draw(st.sampled_from([*[loaded_at] * 10, early, None]))
            events.append({**row, "loaded_at": loaded_at})
        items = [item for item, batch in item_batch.items() if batch == number] + (["lamp", "mug"] * (number == 0))
        complete = number == len(cuts)
        batches.append(
            Batch(events, items, arrival, 99 if complete else draw(st.sampled_from([99, 99, 99, 0, 1, 2, 4, 5])))
        )
    return batches


def event_in_session_of_tracker(number: int, visitor: str, hours: float) -> dict:
    """Return a row of a session of the tracker that all such rows share."""
    moment = FIRST_DAY + timedelta(hours=hours)
    arrival = FIRST_ARRIVAL + timedelta(days=number)
    return {
        "event_id": f"e{number}", "visitor_id": visitor, "user_id": None, "item_id": "lamp", "event_type": "view",
        "event_at": time_text(moment, 0), "source_session_id": "s1", "user_agent": None, "loaded_at": arrival,
    }  # fmt: skip


# a session of ann's that bob shares from the second build on
SHARED_BY_BOB = [
    Batch(
        [event_in_session_of_tracker(1, "ann", 0), event_in_session_of_tracker(2, "ann", 1)],
        ["lamp"],
        FIRST_ARRIVAL,
        99,
    ),
    Batch([event_in_session_of_tracker(3, "bob", 1.5)], [], FIRST_ARRIVAL, 99),
    Batch([event_in_session_of_tracker(4, "bob", 0.5)], [], FIRST_ARRIVAL, 99),
]


PROPERTY = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip


def built_and_refreshed(memory: MemoryWarehouse, history: list[Batch]) -> list[dict[str, list[tuple]]]:
    """Return all tables after the history's builds, and after a full refresh of the same rows."""
    memory.live_through(history)
    built = {query: memory.rows(query) for query in TABLES}
    # the other way round: where a row happens to lie must not matter either
    memory.connection.execute("create or replace table raw.events as select * from raw.events order by rowid desc")
    memory.refresh()
    return [built, {query: memory.rows(query) for query in TABLES}]


@PROPERTY
@example(history=SHARED_BY_BOB)
@given(history=histories())
def test_any_split_into_builds_gives_the_tables_of_one_build(memory, history):
    built, refreshed = built_and_refreshed(memory, history)
    for query in TABLES:
        assert built[query] == refreshed[query]

    expected = sessionize((Event(*row) for row in memory.rows(READ_EVENTS)), LONGEST_SOURCE_SESSION)
    for query, rows in REFERENCE.items():
        assert sorted(memory.rows(query)) == sorted(rows(expected))


# faults that other packages were shipped with
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        pytest.param(
            "getvariable('earliest_affected_visit')",
            "getvariable('earliest_nearby_event')",
            id="a_window_cuts_sessions_at_its_edge",
        ),
        pytest.param(
            "last_value(case when starts_visit then md5(visitor_id || ':' || event_id) end ignore nulls)"
            " over rows_so_far",
            "md5(visitor_id || ':' || count(*) filter (where starts_visit) over rows_so_far)",
            id="sessions_are_numbered",
        ),
        pytest.param(
            "known_events.source_session_id is not distinct from affected_visits.source_session_id",
            "known_events.source_session_id = affected_visits.source_session_id",
            id="a_comparison_drops_nulls",
        ),
    ],
)
def test_the_property_finds_known_faults(memory, right, wrong):
    faulty = memory.with_fault(right, wrong)

    def is_found(history):
        built, refreshed = built_and_refreshed(faulty, history)
        return built != refreshed

    assert example_of(histories(), is_found, settings=settings(PROPERTY, phases=[Phase.generate]))


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
