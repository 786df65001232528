"""Property: however events are cut into builds, the tables end as one build of all of them makes them.

dbt takes about a second a build, too slow for hundreds of histories. So dbt renders the models once, as a first build
and as an incremental one, and the tests run these statements in memory the way dbt-duckdb does: views and tables
replaced, incremental tables by delete and insert on their unique key, then the post-hook. What this leaves out is dbt's
own part, which ``test_cases.py`` exercises: materialization macros, transactions, and that is_incremental() is true
when it should be.

A history is drawn with what goes wrong in real ones: a few visitors with gaps of just under, exactly and just over the
limit; equal times; late arrivals; ids that come again with the same or another payload; items whose catalogue row comes
later or never; broken rows; builds that stopped after any of the models.

Left out: a row that becomes visible after a build and is older, by ``loaded_at``, than one which that build took up,
under an id that both have. The one which was taken up first stays; a full refresh would prefer the older one.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import duckdb
import pytest
from harness import RAW_COLUMNS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference import Event, sessionize

from jobs.warehouse import prepare

EXAMPLES = 200

FIRST_DAY = datetime(2026, 1, 1, 10, tzinfo=UTC)
FIRST_ARRIVAL = datetime(2026, 2, 1, tzinfo=UTC)
CHECKED = "select * exclude (batch_id) from staging.checked_events order by all"
SESSION_ITEMS = "select * exclude (batch_id, assigned_batch_id) from sessions.session_items order by all"
SESSIONS = "select * exclude (assigned_batch_id) from sessions.sessions order by all"
SEQUENCES = "select * from sessions.sequences order by all"


# --- the models, rendered by dbt, run as dbt-duckdb runs them ---


@dataclass(frozen=True)
class Model:
    """One model as dbt rendered it."""

    relation: str
    materialized: str
    unique_key: str | None
    hooks: list[str] = field(repr=False)
    first_sql: str = field(repr=False)
    incremental_sql: str = field(repr=False)

    def build(self, connection: duckdb.DuckDBPyConnection, first: bool) -> None:
        if self.materialized == "view":
            connection.execute(f"create or replace view {self.relation} as {self.first_sql}")
        elif first or self.materialized == "table":
            connection.execute(f"create or replace table {self.relation} as {self.first_sql}")
        else:
            connection.execute(f"create or replace temp table built as {self.incremental_sql}")
            connection.execute(
                f"delete from {self.relation} where {self.unique_key} in (select {self.unique_key} from built)"
            )
            connection.execute(f"insert into {self.relation} by name from built")
        for hook in self.hooks if self.materialized == "incremental" else []:
            connection.execute(hook)


@pytest.fixture(scope="module")
def models(dbt_project, tmp_path_factory) -> list[Model]:
    """Build an empty warehouse twice: what dbt ran is the first and the incremental form of each model."""
    path = tmp_path_factory.mktemp("rendered") / "warehouse.duckdb"
    rendered = []
    for _ in ("first", "incremental"):
        results = dbt_project.invoke(path, "run", "--select", "staging", "sessions").results
        rendered.append({result.node.unique_id: result.node.compiled_code for result in results})
    nodes = {result.node.unique_id: result.node for result in results}
    ordered = []
    while len(ordered) < len(nodes):
        done = {node.unique_id for node in ordered}
        ordered += [
            node for name, node in nodes.items() if name not in done and {*node.depends_on.nodes} & {*nodes} <= done
        ]
    return [
        Model(
            node.relation_name, node.config.materialized, node.config.unique_key,
            [hook.sql.replace("{{ this }}", node.relation_name) for hook in node.config.post_hook],
            rendered[0][node.unique_id], rendered[1][node.unique_id],
        )
        for node in ordered
    ]  # fmt: skip


@pytest.fixture(scope="module")
def memory():
    """A warehouse in memory, under the name that the rendered statements use."""
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("attach ':memory:' as warehouse; use warehouse; set TimeZone = 'UTC'")
        for schema in ("staging", "sessions"):
            connection.execute(f"create schema {schema}")
        prepare(connection)
        yield connection


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
    "user_id": st.sampled_from([None, None, "u1"]),
    "item_id": st.sampled_from(["lamp", "lamp", "mug", "late", "later", "never"]),
    "event_type": st.sampled_from(["view", "view", "purchase"]),
    "event_at": st.builds(time_text, moments, st.sampled_from([0, 0, 0, 0, 1, 2, 3])),
    "source_session_id": st.none(),
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
    batches = []
    arrival = FIRST_ARRIVAL
    for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(rows)], strict=True)):
        # within the overlap of arrivals, at its edge, beyond it
        arrival += timedelta(minutes=draw(st.sampled_from([1, 60, 61, 1440])))
        seconds = draw(st.lists(st.integers(0, 5), min_size=end - start, max_size=end - start))
        events = [
            {**row, "loaded_at": arrival + timedelta(seconds=second)}
            for row, second in zip(rows[start:end], seconds, strict=True)
        ]
        items = [item for item, batch in item_batch.items() if batch == number] + (["lamp", "mug"] * (number == 0))
        complete = number == len(cuts)
        batches.append(
            Batch(events, items, arrival, 99 if complete else draw(st.sampled_from([99, 99, 99, 0, 1, 2, 4, 5])))
        )
    return batches


def add(connection, batch: Batch) -> None:
    if batch.events:
        columns = [*RAW_COLUMNS["events"], "loaded_at"]
        rows = [[event[name] for name in columns] for event in batch.events]
        places = ", ".join(["(" + ", ".join("?" * len(columns)) + ")"] * len(rows))
        connection.execute(f"insert into raw.events values {places}", [value for row in rows for value in row])
    for item in batch.items:
        connection.execute("insert into raw.items (item_id, loaded_at) values (?, ?)", [item, batch.loaded_at])


def tables(connection) -> dict[str, list[tuple]]:
    return {query: connection.execute(query).fetchall() for query in (CHECKED, SESSION_ITEMS, SESSIONS, SEQUENCES)}


def build_history(connection, models: list[Model], history: list[Batch]) -> None:
    """Add the batches one by one, each followed by a build; a model's first build is never incremental."""
    connection.execute("delete from raw.events; delete from raw.items")
    built = set()
    for batch in history:
        add(connection, batch)
        for model in models[: batch.models_run]:
            model.build(connection, first=model.relation not in built)
            built.add(model.relation)


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(history=histories())
def test_any_split_into_builds_gives_the_tables_of_one_build(memory, models, history):
    build_history(memory, models, history)
    incremental = tables(memory)
    # the other way round: where a row happens to lie must not matter either
    memory.execute("create or replace table raw.events as select * from raw.events order by rowid desc")
    for model in models:
        model.build(memory, first=True)
    refreshed = tables(memory)
    for query in refreshed:
        assert incremental[query] == refreshed[query]

    usable = memory.execute(
        "select visitor_id, event_at, event_id, item_id, event_type from staging.stg_events"
    ).fetchall()
    expected = sessionize(Event(*row) for row in usable)
    item_rows = memory.execute("select session_id, position, event_id, item_id, event_at from sessions.session_items")
    assert sorted(item_rows.fetchall()) == sorted(row for session in expected for row in session.item_rows())
    sessions = memory.execute(
        "select session_id, visitor_id, started_at, ended_at, event_count, item_count, purchase_count "
        "from sessions.sessions"
    )
    assert sorted(sessions.fetchall()) == sorted(session.row() for session in expected)
    sequences = memory.execute("select sequence_id, items from sessions.sequences")
    assert sorted(sequences.fetchall()) == sorted(session.sequence() for session in expected)
