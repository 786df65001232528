"""A demo shop in a folder of its own, on which tests run the real commands."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from filelock import FileLock
from invariants import broken_invariants
from warm_commands import run_warm

from jobs.commands.demo_shop import make_demo_shop
from jobs.warehouse.connection import connect, prepare_warehouse

UNTIL = datetime(2025, 1, 1, tzinfo=UTC)  # of the demo's history

SMALL_MODELS = """
    [parameters.sasrec]
    width = 16
    blocks = 1
    epochs = 6
    epoch_steps = 1
    [parameters.llm2sasrec]
    width = 16
    blocks = 1
    epochs = 6
    epoch_steps = 1
"""


def built_once(shared_folder: Path, name: str, build: Callable[["Shop"], None]) -> "Shop":
    """Return a shop that one process of this test session builds, and that the other processes wait for."""
    shop = Shop(shared_folder / name)
    with FileLock(f"{shop.folder}.lock"):
        if not shop.folder.exists():
            unfinished = Shop(shared_folder / f"{name}-unfinished")
            shutil.rmtree(unfinished.folder, ignore_errors=True)
            unfinished.folder.mkdir()
            build(unfinished)
            unfinished.folder.rename(shop.folder)
    return shop


def visit(visitor: str, items: list[str], hour: int = 8) -> list[dict[str, str]]:
    """Return one visit's views, a minute apart, on the day after the demo's history."""
    return [
        {"event_id": f"new-{visitor}-{hour}-{place}", "visitor_id": visitor, "item_id": item, "event_type": "view",
         "event_at": f"2025-01-01T{hour:02}:{place:02}:00Z"}
        for place, item in enumerate(items)
    ]  # fmt: skip


@dataclass
class Shop:
    """A folder with a warehouse and what the commands make of it."""

    folder: Path

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse.duckdb"

    @property
    def published(self) -> Path:
        return self.folder / "published.duckdb"

    def fill(self, visitors: int = 60, items: int = 60) -> None:
        with connect(self.warehouse) as connection:
            prepare_warehouse(connection)
            make_demo_shop(connection, visitor_count=visitors, item_count=items, seed=0, history_end=UNTIL)

    def set(self, text: str = "") -> None:
        (self.folder / "nextmart.toml").write_text(text + SMALL_MODELS)

    def copy(self, folder: Path) -> "Shop":
        shutil.copytree(self.folder, folder)
        return Shop(folder)

    def environment(self, **more: str) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("NEXTMART_")}
        # dbt's debug log takes a fifth of dbt's time; the test that reads it asks for it
        return {**inherited, "DBT_LOG_LEVEL_FILE": "info", **more}

    def command(self, *arguments: str) -> list[str]:
        return [str(Path(sys.executable).with_name("nextmart")), *arguments]

    def call(self, *arguments: str, exit_code: int = 0, **environment: str) -> str:
        """Run ``nextmart`` in the folder; return its progress and its report."""
        done = self._run([*arguments], exit_code, environment)
        return done.stderr + done.stdout

    def summary(self, *arguments: str, **environment: str) -> dict:
        """Run ``nextmart`` in the folder with ``--json``; return its summary, which alone is on its stdout."""
        return json.loads(self._run([*arguments, "--json"], 0, environment).stdout)

    def _run(self, arguments: list[str], exit_code: int, environment: dict[str, str]) -> subprocess.CompletedProcess:
        done = run_warm(arguments, self.folder, self.environment(**environment))
        assert done.returncode == exit_code, done.stdout + done.stderr
        return done

    def load(self, **tables: list[dict[str, str]]) -> None:
        """Load ``events`` or ``items`` given as rows, through files."""
        arguments = []
        for table, rows in tables.items():
            path = self.folder / f"{table}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
            arguments += [f"--{table}", str(path)]
        self.call("load", *arguments)

    def rows(self, query: str, **parameters: object) -> list[tuple]:
        """Query the warehouse, with the published file beside it as ``published``."""
        with connect(self.warehouse, read_only=True) as connection:
            if self.published.exists():
                connection.execute(f"attach '{self.published}' as published (read_only)")
            return connection.execute(query, parameters).fetchall()

    def read(self, query: str) -> list[tuple]:
        """Query the published file alone, as a reader does."""
        with duckdb.connect(str(self.published), read_only=True) as copy:
            return copy.execute(query).fetchall()

    def job_runs(self, job: str) -> list[dict]:
        """Return the runs of a job, oldest first."""
        query = "select status, rows_in, rows_out, detail, error from ml.job_runs where job = $job order by started_at"
        return [
            {
                "status": row[0],
                "rows_in": row[1],
                "rows_out": row[2],
                "detail": json.loads(row[3] or "{}"),
                "error": row[4],
            }
            for row in self.rows(query, job=job)
        ]

    def broken_invariants(self, k: int = 20) -> dict[str, list[tuple]]:
        """Return the invariants that the published tables break, with the rows that do."""
        return broken_invariants(self.rows, k)
