"""Tables of lists, impressions and events in memory, with the models of outcomes as views over them, without dbt."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from datetime import datetime

import duckdb

from jobs.dbt_vars import default_vars
from jobs.warehouse.connection import Connection
from jobs.warehouse.dbt_macros import dbt_model_sql

# They take the values of the moment's rows into the plan, which would be wrong for other rows.
OPTIMIZERS_TO_LEAVE_OUT = "statistics_propagation,compressed_materialization"
WINDOW_DAYS = 2
DAYS = 7
MODELS = [
    "outcomes/live_lists", "outcomes/outcome_events", "outcomes/shown_places", "outcomes/credited_events",
    "outcomes/outcomes_shown", "outcomes/outcomes_seen", "outcomes/uplift_visitors", "outcomes/drawn_places",
    "recommendations/outcomes", "recommendations/uplift", "recommendations/offline_estimates",
]  # fmt: skip
TABLES = """
    create schema ml;
    create table session_items (
        event_id varchar, visitor_id varchar, item_id varchar, event_type varchar, event_at timestamptz
    );
    create table bot_visitors (visitor_id varchar);
    create table item_history (
        item_id varchar, price double, dbt_valid_from timestamptz, dbt_valid_to timestamptz
    );
    create table ml.published_lists (
        placement varchar, visitor_id varchar, rank integer, item_id varchar, model varchar, arm varchar,
        live_from timestamptz, live_until timestamptz, model_version varchar
    );
    create table stg_impressions (
        impression_id varchar, visitor_id varchar, placement varchar, item_id varchar, rank integer,
        shown_at timestamptz, propensity double
    );
"""


@dataclass(frozen=True)
class Event:
    event_id: str
    visitor: str
    item: str
    kind: str
    at: datetime


@dataclass(frozen=True)
class Place:
    """A place of a list, for a time in which the list was live."""

    placement: str
    visitor: str
    rank: int
    item: str
    model: str
    arm: str
    live_from: datetime
    live_until: datetime | None
    model_version: str = "sknn-1"


@dataclass(frozen=True)
class Impression:
    impression_id: str
    visitor: str
    placement: str
    item: str
    rank: int | None
    shown_at: datetime
    propensity: float | None = None


@dataclass(frozen=True)
class Price:
    item: str
    price: float | None
    valid_from: datetime
    valid_until: datetime | None


@dataclass(frozen=True)
class History:
    """What happened in a shop."""

    events: list[Event] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    impressions: list[Impression] = field(default_factory=list)
    prices: list[Price] = field(default_factory=list)
    bots: list[str] = field(default_factory=list)


class OutcomeTables:
    """A warehouse in memory; its views have the names of the models."""

    def __init__(self, connection: Connection, fault: tuple[str, str] | None = None):
        self.connection = connection
        connection.execute("attach ':memory:' as warehouse; use warehouse")
        # neither days nor windows may depend on the zone, nor on its clock changes
        connection.execute("set TimeZone = 'America/New_York'")
        connection.execute(TABLES)
        found = False
        for model in MODELS:
            sql = dbt_model_sql(
                f"{model}.sql", {**default_vars(), "outcome_window_days": WINDOW_DAYS, "outcome_days": DAYS}
            )
            if fault:
                found |= fault[0] in sql
                sql = sql.replace(*fault)
            connection.execute(f"create view {model.rsplit('/')[-1]} as {sql}")
        assert not fault or found, f"no model holds {fault[0]!r} any more"
        connection.execute(f"set disabled_optimizers = '{OPTIMIZERS_TO_LEAVE_OUT}'")
        self.planned: dict[str, str] = {}

    def show(self, history: History) -> None:
        """Make the tables hold this history."""
        tables: Mapping[str, list] = {
            "session_items": history.events,
            "ml.published_lists": history.places,
            "stg_impressions": history.impressions,
            "item_history": history.prices,
        }
        for table, rows in tables.items():
            self._fill(table, [astuple(row) for row in rows])
        self._fill("bot_visitors", [(bot,) for bot in history.bots])

    def _fill(self, table: str, rows: list[tuple]) -> None:
        self.connection.execute(f"delete from {table}")
        if rows:
            # a parameter for each column: DuckDB takes time for each one
            columns = [list(column) for column in zip(*rows, strict=True)]
            values = ", ".join(["unnest(?)"] * len(columns))
            self.connection.execute(f"insert into {table} select {values}", columns)

    def rows(self, query: str) -> list[tuple]:
        """Run a query; DuckDB plans it only the first time, which takes most of its time."""
        if query not in self.planned:
            self.planned[query] = f"query_{len(self.planned)}"
            self.connection.execute(f"prepare {self.planned[query]} as {query}")
        return self.connection.execute(f"execute {self.planned[query]}").fetchall()


def opened(fault: tuple[str, str] | None = None) -> OutcomeTables:
    return OutcomeTables(duckdb.connect(config={"threads": 1}), fault)
