"""A fresh warehouse for a test: put raw rows in, run dbt's SQL models, read tables back."""

import csv
import gc
import json
import os
import shutil
from collections.abc import Iterable
from copy import copy
from datetime import datetime
from pathlib import Path
from unittest.mock import patch

import duckdb
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner
from quick_dbt import make_dbt_quick

from jobs.files import project_folder
from jobs.warehouse.connection import connect, prepare_warehouse

RAW_COLUMNS = {
    "events": [
        "event_id",
        "visitor_id",
        "user_id",
        "item_id",
        "event_type",
        "event_at",
        "source_session_id",
        "user_agent",
    ],
    "items": ["item_id", "title", "brand", "category", "description", "price", "available", "updated_at", "attributes"],
    "visitors": ["visitor_id", "updated_at", "attributes"],
    "impressions": ["impression_id", "visitor_id", "placement", "item_id", "rank", "shown_at", "propensity"],
}

# the models of staging, intermediate and sessions, but those of visitors' attributes and of impressions, of which most
# tests have none
SESSIONS = (
    "stg_items stg_events int_events_typed int_events_checked rejected_events rejected_items event_batches "
    "source_freshness sessions"
)

make_dbt_quick()


class DbtProject:
    """The project, parsed once: dbt runs inside this process, which is several times faster than a process a run.

    ``parse`` is the file of a parse with the same variables, if there is one; dbt makes it in ``parse`` of a project.
    """

    def __init__(self, folder: Path, variables: str, parse: Path | None = None):
        project = str(project_folder("dbt_project"))
        self.variables = variables
        self.parse = folder / "target" / "partial_parse.msgpack"
        self.arguments = [
            "--project-dir", project, "--profiles-dir", project,
            "--target-path", str(folder / "target"), "--log-level", "none", "--log-level-file", "none",
            "--vars", variables,
        ]  # fmt: skip
        if parse:
            self.parse.parent.mkdir(parents=True)
            shutil.copy(parse, self.parse)
        self.manifest = None
        self.manifest = self.invoke(folder / "warehouse.duckdb", "parse")
        for node in self.manifest.nodes.values():
            # comments on columns take a fifth of a run's time; tests of the published file look at them
            node.config.persist_docs = {}
        gc.freeze()  # a parsed project is a million objects, which lives as long as the process

    def with_vars(self, variables: str) -> "DbtProject":
        """Return the same parse with other variables: of those that dbt reads when it runs, not when it parses."""
        project = copy(self)
        project.arguments = [*self.arguments, "--vars", variables]
        return project

    def invoke(self, warehouse: Path, command: str, *arguments: str, heard: list | None = None):
        """Run one dbt command on a warehouse file and return its result; the file is free again afterwards.

        ``heard`` is filled with the events that dbt logs: the statements that it ran, among others.
        """
        variables = {"NEXTMART_WAREHOUSE": str(warehouse), "DO_NOT_TRACK": "1"}
        with patch.dict(os.environ, variables):
            try:
                outcome = dbtRunner(
                    manifest=self.manifest, callbacks=[heard.append] if heard is not None else []
                ).invoke(["--quiet", "--no-write-json", *command.split(), *self.arguments, *arguments])
            finally:
                # dbt-duckdb keeps the file open for the life of the process otherwise
                DuckDBConnectionManager.close_all_connections()
        if not outcome.success:
            results = getattr(outcome.result, "results", [])
            failed = [
                f"{result.node.name}: {result.message}" for result in results if result.status in ("error", "fail")
            ]
            raise AssertionError("\n".join([f"dbt {command} failed: {outcome.exception}", *failed]))
        return outcome.result


def insert(connection: duckdb.DuckDBPyConnection, table: str, columns: list[str], rows: Iterable[dict]) -> None:
    """Insert rows in one statement with one parameter: DuckDB looks for pandas on the disk for each parameter."""
    texts = [[None if row.get(name) is None else str(row[name]) for name in columns] for row in rows]
    values = ", ".join(f"texts[{place}]" for place in range(1, len(columns) + 1))
    connection.execute(
        f"""
            insert into {table} ({", ".join(columns)})
            select {values} from (select unnest(from_json($texts, '[["VARCHAR"]]')) as texts)
        """,
        {"texts": json.dumps(texts)},
    )


class Warehouse:
    """One warehouse file."""

    def __init__(self, path: Path, project: DbtProject):
        self.path = path
        self.project = project

    def open(self) -> duckdb.DuckDBPyConnection:
        connection = connect(self.path)
        prepare_warehouse(connection)
        return connection

    def add(self, table: str, rows: Iterable[dict[str, str | None]], loaded_at: datetime | str) -> None:
        """Append rows to ``raw``; a row may carry a loaded_at of its own."""
        rows = [{"loaded_at": loaded_at, **row} for row in rows]
        if rows:
            with self.open() as connection:
                insert(connection, f"raw.{table}", [*RAW_COLUMNS[table], "loaded_at"], rows)

    def run(self, *arguments: str, command: str = "run", select: str = SESSIONS):
        """Run SQL models, by default those from raw events to sessions (``build``: with their data tests)."""
        if command == "build":
            # the unit tests have their own inputs, and tests across all tables need all tables
            arguments = (*arguments, "--exclude", "resource_type:unit_test", "--indirect-selection", "cautious")
        return self.project.invoke(self.path, command, "--select", *select.split(), *arguments)

    def rows(self, table: str, columns: Iterable[str] = ("*",)) -> list[tuple[str | None, ...]]:
        """Read a table as text, sorted, so that it compares with a CSV file and with another run of itself."""
        return self.tables({table: columns})[table]

    def tables(self, columns: dict[str, Iterable[str]]) -> dict[str, list[tuple[str | None, ...]]]:
        """Read columns of tables as ``rows`` does; to open the file takes longer than to read a small table."""
        with connect(self.path, read_only=True) as connection:
            return {
                table: connection.execute(
                    f"select columns(*)::varchar from (select {', '.join(names)} from {table}) order by all"
                ).fetchall()
                for table, names in columns.items()
            }


def read_csv(path: Path) -> tuple[list[str], list[dict[str, str | None]]]:
    """Read a case's file: its columns and its rows; an empty field is null."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = [{name: value or None for name, value in row.items()} for row in reader]
    return list(reader.fieldnames or []), rows
