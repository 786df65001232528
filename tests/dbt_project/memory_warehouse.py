"""A warehouse in memory that runs the models as dbt rendered them, hundreds of times faster than dbt does.

dbt takes about a second a build, too slow for hundreds of histories. So dbt renders the models once, as a first build
and as an incremental one, and a ``MemoryWarehouse`` runs these statements the way dbt-duckdb does: views and tables
replaced, incremental tables by delete and insert on their unique key, then the post-hook. DuckDB plans each statement
once: most of a small statement's time is its plan. Two differences follow from that, beside dbt's own part, which
``test_cases.py`` exercises (materialization macros, transactions, and that is_incremental() is true when it should be):

- a table is emptied and filled again, not replaced, because a plan doesn't outlive its tables;
- a build bound lies in a table of one row, not in a session variable, whose value would become part of the plan.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

from harness import RAW_COLUMNS, DbtProject, insert

from jobs.commands.deletion_of_person import delete_collected_rows
from jobs.commands.person import Person
from jobs.commands.rows_of_person import collect_rows_to_delete
from jobs.warehouse.connection import Connection, prepare_warehouse, transaction

# The first two take the values of the moment's rows into the plan, which would be wrong for other rows. The third makes
# a join of each long list of words, which costs a tiny table more than the comparisons.
OPTIMIZERS_TO_LEAVE_OUT = "statistics_propagation,compressed_materialization,in_clause"

SET_BOUND = re.compile(r"(?:/\*.*?\*/)?\s*set variable (\w+) = \((.*)\)\s*", re.DOTALL)
START = re.compile(r"(coalesce\(built_at, '[^']*'::timestamptz)(?=\))")
GET_BOUND = re.compile(r"getvariable\('(\w+)'\)")


@dataclass(frozen=True)
class Hooks:
    """The statements that dbt ran before and after a model."""

    before: list[str]
    after: list[str]


@dataclass(frozen=True)
class Model:
    """One model as dbt rendered it."""

    relation: str
    materialized: str
    unique_key: str | None
    predicates: list[str]
    first_hooks: Hooks
    first_sql: str
    incremental_hooks: Hooks
    incremental_sql: str

    @property
    def name(self) -> str:
        return self.relation.split(".")[-1].strip('"')

    @property
    def built(self) -> str:
        """The table that holds a build's new rows, as dbt's temporary table does."""
        return f"built.{self.name}"

    @property
    def is_view(self) -> bool:
        return self.materialized == "view"

    @cached_property
    def first_build(self) -> list[str]:
        """The statements of a build that begins with an empty table."""
        fill = [f"delete from {self.relation}", f"insert into {self.relation} by name {self.first_sql}"]
        return [*self.first_hooks.before, *fill, *self.first_hooks.after]

    @cached_property
    def incremental_build(self) -> list[str]:
        """The statements of a build that adds to the table's rows."""
        merge = [f"delete from {self.built}", f"insert into {self.built} by name {self.incremental_sql}"]
        if self.unique_key:
            rows = f"{self.unique_key} in (select {self.unique_key} from {self.built})"
            merge.append(f"delete from {self.relation} where {' and '.join([rows, *self.predicates])}")
        merge.append(f"insert into {self.relation} by name from {self.built}")
        return [*self.incremental_hooks.before, *merge, *self.incremental_hooks.after]

    def with_fault(self, right: str, wrong: str) -> "Model":
        return replace(
            self,
            first_sql=self.first_sql.replace(right, wrong),
            incremental_sql=self.incremental_sql.replace(right, wrong),
        )


@dataclass(frozen=True)
class Batch:
    """Rows that arrive together, and how far the build after them comes."""

    events: list[dict]
    items: list[str]
    loaded_at: datetime
    models_run: int  # the build was interrupted after so many


def rendered_models(dbt_project: DbtProject, path: Path, variables: str) -> list[Model]:
    """Build an empty warehouse twice: what dbt ran is the first and the incremental form of each model."""
    first, incremental = (_run_once(dbt_project, path, variables) for _ in range(2))
    return [
        Model(
            relation=node.relation_name,
            materialized=node.config.materialized,
            unique_key=node.config.unique_key,
            predicates=node.config.get("incremental_predicates", []),
            first_hooks=first[node.unique_id][2],
            first_sql=first[node.unique_id][1],
            incremental_hooks=incremental[node.unique_id][2],
            incremental_sql=_with_starts_of_builds(incremental[node.unique_id][1]),
        )
        for node in _in_order({name: node for name, (node, *_) in incremental.items()})
    ]


def _run_once(dbt_project: DbtProject, path: Path, variables: str) -> dict[str, tuple]:
    """Run the models once: by name, the node, its SQL and the hooks, as dbt ran them."""
    heard = []
    # the histories have no rows of visitors
    layers = ["--select", "staging", "intermediate", "sessions", "--exclude", "stg_visitors"]
    results = dbt_project.invoke(path, "run", *layers, "--vars", variables, heard=heard).results
    statements = defaultdict(list)
    for event in heard:
        if event.info.name == "SQLQuery":
            statements[event.data.node_info.unique_id].append(event.data.sql)
    found = {}
    for node in (result.node for result in results if result.node.resource_type == "model"):
        before = [sql for sql in statements[node.unique_id] if "set variable" in sql]
        after = [hook.sql.replace("{{ this }}", node.relation_name) for hook in node.config.post_hook]
        assert len(before) == len(node.config.pre_hook)
        found[node.unique_id] = (node, node.compiled_code, Hooks(before, after))
    return found


def _with_starts_of_builds(sql: str) -> str:
    """Return the SQL with a start of its own for each build, where dbt rendered the start of one run."""
    return START.sub(r"\1 + to_seconds((select coalesce(max(batch_id), 0) from staging.checked_events))", sql)


def _in_order(nodes: dict) -> list:
    """Return the models in an order in which each model follows the models that it reads."""
    ordered = {}
    while len(ordered) < len(nodes):
        ordered |= {name: nodes[name] for name in nodes if {*nodes[name].depends_on.nodes} & {*nodes} <= {*ordered}}
    return list(ordered.values())


class MemoryWarehouse:
    """A warehouse in memory, under the name that the rendered statements use."""

    def __init__(self, connection: Connection, models: list[Model]):
        self.connection = connection
        self.models = models
        self.planned: dict[tuple[str, bool], str] = {}
        self.optimizes = True
        self.catalogue: list[tuple] | None = None
        connection.execute("attach ':memory:' as warehouse; use warehouse; set TimeZone = 'UTC'")
        connection.execute("create schema staging; create schema sessions; create schema built; create schema bounds")
        prepare_warehouse(connection)
        connection.execute("create table built.raw_events as from raw.events")
        self._create_relations()
        connection.execute(f"set disabled_optimizers = '{OPTIMIZERS_TO_LEAVE_OUT}'")

    def _create_relations(self) -> None:
        """Create the models' views and empty tables as dbt does; then a table for each bound that their hooks set."""
        for model in self.models:
            for hook in model.first_hooks.before:
                self.connection.execute(hook)
            kind = "view" if model.is_view else "table"
            self.connection.execute(f"create {kind} {model.relation} as {model.first_sql}")
            if model.materialized == "incremental":
                self.connection.execute(f"create table {model.built} as {model.incremental_sql}")
        for hook in (hook for model in self.models for hook in model.first_hooks.before):
            bound, _ = SET_BOUND.fullmatch(hook).groups()
            self.connection.execute(f"create table bounds.{bound} as select getvariable('{bound}') as bound")
        for model in self.models:
            if model.is_view:
                self.connection.execute(f"create or replace view {model.relation} as {_with_bounds(model.first_sql)}")

    def execute(self, statement: str) -> Connection:
        """Run a statement; DuckDB plans it only the first time."""
        key = statement, self.optimizes
        if key not in self.planned:
            name = f"statement_{len(self.planned)}"
            self.connection.execute(f"prepare {name} as {_with_bounds(statement)}")
            self.planned[key] = f"execute {name}"
        return self.connection.execute(self.planned[key])

    def rows(self, query: str) -> list[tuple]:
        return self.execute(query).fetchall()

    def add(self, batch: Batch) -> None:
        insert(self.connection, "raw.events", [*RAW_COLUMNS["events"], "loaded_at"], batch.events)
        items = [{"item_id": item, "loaded_at": batch.loaded_at} for item in batch.items]
        insert(self.connection, "raw.items", ["item_id", "loaded_at"], items)

    def reverse_events(self) -> None:
        """Turn the order of the events' rows round: where a row happens to lie must not matter."""
        for statement in (
            "delete from built.raw_events",
            "insert into built.raw_events select * from raw.events order by rowid desc",
            "delete from raw.events",
            "insert into raw.events from built.raw_events",
        ):
            self.execute(statement)

    def live_through(self, history: list[Batch], forgotten: dict[int, Person] | None = None) -> None:
        """Add the batches one by one, each followed by a build; a model's first build is never incremental.

        ``forgotten`` are people by the number of the build after which they go.
        """
        for table in ("raw.events", "raw.items", "ml.deletions"):
            self.execute(f"delete from {table}")
        built = set()
        for number, batch in enumerate(history):
            self.add(batch)
            for model in self.models[: batch.models_run]:
                self.build(model, first=model.relation not in built)
                built.add(model.relation)
            if number in (forgotten or {}):
                collect_rows_to_delete(self.connection, forgotten[number])
                with transaction(self.connection):
                    delete_collected_rows(self.connection, forgotten[number], withdrawn_row_count=0)

    def refresh(self) -> None:
        """Build all tables of all rows, with DuckDB's plans as they are before it makes them better.

        The tables may not depend on the plan.
        """
        with self._without_optimizer():
            for model in self.models:
                self.build(model, first=True)

    @contextmanager
    def _without_optimizer(self) -> Iterator[None]:
        self.connection.execute("pragma disable_optimizer")
        self.optimizes = False
        try:
            yield
        finally:
            self.optimizes = True
            self.connection.execute("pragma enable_optimizer")

    def build(self, model: Model, *, first: bool) -> None:
        """Build a model; the table of the catalogue is made again only if its rows differ."""
        if model.is_view:
            return
        if model.name == "stg_items":
            catalogue = self.rows("select item_id, loaded_at from raw.items order by all")
            if self.catalogue == catalogue:
                return
            self.catalogue = catalogue
        incremental = model.materialized == "incremental" and not first
        for statement in model.incremental_build if incremental else model.first_build:
            self.execute(statement)


def _with_bounds(statement: str) -> str:
    """Return the statement with the tables of ``bounds`` in place of session variables."""
    if setting := SET_BOUND.fullmatch(statement):
        statement = "update bounds.{} set bound = ({})".format(*setting.groups())
    return GET_BOUND.sub(r"(select bound from bounds.\1)", statement)
