"""Property: however sessions change from build to build, pairs are counted as one build of the last ones counts them.

dbt runs each model once as a first build and once as an incremental one; the tests run the statements that dbt ran, in
memory, on tables of sessions that they change between builds: sessions that are new, get late events, are merged away
or forgotten, turn out to be a bot's or no bot's after all; and builds that stopped after any of the models.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from math import log

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jobs.commands.deletion_of_person import FORGET_BASKETS
from jobs.warehouse.connection import Connection

EXAMPLES = 30
VARS = "{together_items_per_session: 3, together_min_sessions: 2, together_items_per_item: 2}"
TABLES_OF_PAIRS = ("baskets", "basket_items", "pair_counts")
LISTS_OF_PAIRS = ("bought_together", "viewed_together")
MODELS = (*TABLES_OF_PAIRS, "basket_pairs", *LISTS_OF_PAIRS)
UNAVAILABLE = "d"

PAIRS = "select kind, item_id, with_item_id, together from sessions.basket_pairs order by all"
LISTS = "select * from recommendations.bought_together order by all"
LISTS_VIEWED = "select * from recommendations.viewed_together order by all"

TABLES = """
    create schema sessions; create schema recommendations; create schema catalog;
    create table sessions.session_items (
        session_id varchar, visitor_id varchar, item_id varchar, event_type varchar, event_at timestamptz,
        assigned_batch_id bigint
    );
    create table sessions.session_totals (
        session_id varchar, visitor_id varchar, event_count bigint, ended_at timestamptz, bot_reason varchar,
        assigned_batch_id bigint
    );
    create view sessions.bot_visitors as
    select distinct visitor_id from sessions.session_totals where bot_reason is not null;
    create table catalog.items as
    select item_id, upper(item_id) as title, item_id <> 'd' as available
    from (select unnest(['a', 'b', 'c', 'd', 'e']) as item_id);
    create temp table concerned_visitors (visitor_id varchar);
"""


@dataclass
class Session:
    visitor: str
    batch: int
    events: list[tuple[str, str, int]] = field(default_factory=list)  # item, type, minute
    is_bots: bool = False


class PairWarehouse:
    """Tables of sessions in memory, with the statements by which dbt builds the models of pairs."""

    def __init__(self, connection: Connection, first: dict[str, list[str]], incremental: dict[str, list[str]]):
        self.connection = connection
        self.first, self.incremental = first, incremental
        connection.execute("attach ':memory:' as warehouse; use warehouse; set TimeZone = 'UTC'")
        connection.execute(TABLES)

    def show(self, sessions: dict[str, Session]) -> None:
        """Make the tables of sessions hold these sessions."""
        items = [
            (name, session.visitor, item, kind, minute, session.batch)
            for name, session in sessions.items()
            for item, kind, minute in session.events
        ]
        totals = [
            (name, session.visitor, len(session.events), max(minute for *_, minute in session.events),
             "rule" if session.is_bots else None, session.batch)
            for name, session in sessions.items()
        ]  # fmt: skip
        self.connection.execute("delete from sessions.session_items; delete from sessions.session_totals")
        for table, rows, place in (
            ("session_items", items, "(?, ?, ?, ?, make_timestamptz(? * 60000000), ?)"),
            ("session_totals", totals, "(?, ?, ?, make_timestamptz(? * 60000000), ?, ?)"),
        ):
            if rows:
                values = [value for row in rows for value in row]
                self.connection.execute(f"insert into sessions.{table} values {', '.join([place] * len(rows))}", values)

    def forget(self, visitor: str) -> None:
        self.connection.execute("delete from concerned_visitors")
        self.connection.execute("insert into concerned_visitors values (?)", [visitor])
        self.connection.execute(FORGET_BASKETS)

    def build(self, models: tuple[str, ...] = MODELS) -> None:
        tables = {name for (name,) in self.connection.execute("select table_name from duckdb_tables()").fetchall()}
        for model in models:
            for statement in (self.incremental if model in tables else self.first)[model]:
                self.connection.execute(statement)

    def start_anew(self) -> None:
        self.connection.execute("drop view if exists sessions.basket_pairs")
        for schema, tables in (("sessions", TABLES_OF_PAIRS), ("recommendations", LISTS_OF_PAIRS)):
            for table in tables:
                self.connection.execute(f"drop table if exists {schema}.{table}")

    def rows(self, query: str) -> list[tuple]:
        return self.connection.execute(query).fetchall()


def statements_of_models(dbt_project, path) -> dict[str, list[str]]:
    """Run the models and return the statements that changed something, by the model's name."""
    heard = []
    dbt_project.invoke(path, "run", "--select", *MODELS, "--vars", VARS, heard=heard)
    found = {model: [] for model in MODELS}
    for event in heard:
        if event.info.name == "SQLQuery":
            sql = re.sub(r"^/\*.*?\*/", "", event.data.sql.strip(), flags=re.DOTALL).strip()
            name = event.data.node_info.node_name
            if name in found and sql.split(" ", 1)[0].lower() in ("create", "merge", "insert", "update", "delete"):
                if name in MODELS[3:]:  # dbt builds a table or view under another name, and then renames it
                    sql = sql.replace("__dbt_tmp", "")
                sql = re.sub(r"^create\s+view", "create or replace view", sql)
                found[name].append(re.sub(r"^create\s+(temp(orary)?)? *table", r"create or replace \1 table", sql))
    return found


@pytest.fixture(scope="module")
def pairs(dbt_project, tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "warehouse.duckdb"
    dbt_project.invoke(path, "run", "--select", "staging", "intermediate", "sessions", "items")
    first, incremental = (statements_of_models(dbt_project, path) for _ in range(2))
    assert [sql.split()[0] for sql in incremental["pair_counts"]] == ["create", "MERGE", "delete", "update", "delete"]
    with duckdb.connect(config={"threads": 1}) as connection:
        yield PairWarehouse(connection, first, incremental)


# --- what the counts must be, in plain Python ---


def basket(session: Session, kind: str) -> list[str]:
    """Return the three latest items of a kind, by the time of their last event."""
    last = {}
    for item, event_type, minute in session.events:
        if event_type == kind:
            last[item] = max(minute, last.get(item, -1))
    return sorted(sorted(last, key=lambda item: (-last[item], item))[:3])


def counted(sessions: dict[str, Session]) -> Counter:
    bots = {session.visitor for session in sessions.values() if session.is_bots}
    return Counter(
        (word, *pair)
        for session in sessions.values()
        for word, kind in (("bought", "purchase"), ("viewed", "view"))
        if session.visitor not in bots
        for pair in combinations_with_replacement(basket(session, kind), 2)
    )


def likelihood_ratio(both: int, one: int, other: int, total: int) -> float:
    """Return Dunning's G² of a table of two by two counts."""
    cells = [(both, one, other), (one - both, one, total - other), (other - both, total - one, other),
             (total - one - other + both, total - one, total - other)]  # fmt: skip
    return 2 * sum(count * log(count * total / (row * column)) for count, row, column in cells if count)


def listed(sessions: dict[str, Session], word: str, kind: str) -> list[tuple]:
    """Return item, rank, other item, sessions with both."""
    counts = counted(sessions)
    bots = {session.visitor for session in sessions.values() if session.is_bots}
    total = sum(bool(basket(s, kind)) for s in sessions.values() if s.visitor not in bots)
    rows = []
    for item in "abcde":
        found = []
        for other in set("abcde") - {item, UNAVAILABLE}:
            both = counts[(word, *sorted((item, other)))]
            one, its = counts[(word, item, item)], counts[(word, other, other)]
            if both >= 2 and both * total > one * its:
                found.append((-round(likelihood_ratio(both, one, its, total), 9), other, both))
        rows += [(item, rank, other, both) for rank, (_, other, both) in enumerate(sorted(found)[:2], 1)]
    return rows


# --- histories ---

events = st.tuples(st.sampled_from("abcde"), st.sampled_from(["purchase", "view", "cart"]), st.integers(0, 3))
contents = st.lists(events, min_size=1, max_size=6)
changes = st.one_of(
    st.tuples(st.just("write"), st.sampled_from("123456"), contents),
    st.tuples(st.just("drop"), st.sampled_from("123456")),
    st.tuples(st.just("bot"), st.sampled_from("123456")),
    st.tuples(st.just("forget"), st.sampled_from(["ann", "bob", "cat"])),
)
builds = st.tuples(st.lists(changes, min_size=1, max_size=6), st.integers(0, len(MODELS)))
VISITORS = dict(zip("123456", ["ann", "ann", "bob", "bob", "cat", "cat"], strict=True))


def live_through(pairs: PairWarehouse, history: list) -> dict[str, Session]:
    """Change the sessions and build, again and again; return the sessions at the end."""
    pairs.start_anew()
    sessions: dict[str, Session] = {}
    for batch, (changed, models_run) in enumerate(history, start=1):
        for change, name, *content in changed:
            if change == "write":
                sessions[name] = Session(VISITORS[name], batch, *content)
            elif change == "drop":
                sessions.pop(name, None)
            elif change == "bot" and name in sessions:
                sessions[name].is_bots = not sessions[name].is_bots
            elif change == "forget":
                pairs.show(sessions)
                if pairs.rows("select 1 from duckdb_tables() where table_name = 'baskets'"):
                    pairs.forget(name)
                sessions = {key: session for key, session in sessions.items() if session.visitor != name}
        pairs.show(sessions)
        pairs.build(MODELS[:models_run])
    pairs.build()
    return sessions


BOTH = [("a", "purchase", 0), ("b", "purchase", 1)]
OTHERS = [("b", "purchase", 0), ("c", "purchase", 1)]  # as many events, which end at the same time
WRITTEN = [([("write", name, BOTH) for name in "1235"], 4)]


PROPERTY = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip


@PROPERTY
@example(history=[*WRITTEN, ([("write", "1", OTHERS), ("write", "3", OTHERS)], 4)])
@example(history=[*WRITTEN, ([("bot", "1")], 4), ([("bot", "1"), ("bot", "3")], 0)])
@example(history=[*WRITTEN, ([("forget", "ann"), ("drop", "5")], 1), ([("write", "1", BOTH)], 1)])
@given(history=st.lists(builds, min_size=1, max_size=4))
def test_changed_sessions_leave_the_counts_of_one_build(pairs, history):
    sessions = live_through(pairs, history)
    built = [pairs.rows(query) for query in (PAIRS, LISTS, LISTS_VIEWED)]
    assert built[0] == sorted((*pair, together) for pair, together in counted(sessions).items())
    for table, kind in (("bought_together", "purchase"), ("viewed_together", "view")):
        ranked = pairs.rows(f"select item_id, rank, with_item_id, together from recommendations.{table} order by all")
        assert ranked == listed(sessions, table.removesuffix("_together"), kind)
    waiting = "select count(*) from sessions.baskets where not is_live or not is_counted or session_id = 'forgotten'"
    assert pairs.rows(waiting) == [(0,)]

    pairs.start_anew()
    pairs.build()
    assert built == [pairs.rows(query) for query in (PAIRS, LISTS, LISTS_VIEWED)]


def test_a_build_of_nothing_new_changes_no_row(pairs):
    live_through(pairs, WRITTEN)
    tables = [f"select rowid, * from sessions.{table} order by rowid" for table in TABLES_OF_PAIRS]
    before = [pairs.rows(query) for query in tables]
    pairs.build()
    assert [pairs.rows(query) for query in tables] == before
