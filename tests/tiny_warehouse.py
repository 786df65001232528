"""A warehouse that train, evaluate and recommend can run on, made by hand in a moment: no dbt."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from jobs.orchestration.run_job import run_job
from jobs.settings import Settings
from jobs.warehouse.connection import connect, prepare_warehouse

DIMENSIONS = 384  # of the embedding model that is set by default
START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)

TABLES = """
    create schema if not exists sessions;
    create schema if not exists catalog;
    create schema if not exists recommendations;
    create table if not exists catalog.item_embeddings (item_id varchar, embedding float[384], text_hash varchar);
"""

Sequence = tuple[str, list[str], list[datetime]]


class TinyWarehouse:
    """An open warehouse in memory, or at a path, with what the jobs write about it."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        self.connection = connect(Path(path))
        prepare_warehouse(self.connection)
        self.connection.execute(TABLES)

    def fill(self, sequences: list[Sequence], items: list[str]) -> None:
        """Replace the sequences, given as (id, items, times), and the catalogue, given as item_ids."""
        rows = pl.DataFrame(sequences, schema=["sequence_id", "items", "event_times"], orient="row")
        self.connection.register("filled", rows.to_arrow())  # lists of times as parameters take seconds
        self.connection.execute(
            "create or replace table sessions.sequences as select sequence_id, 'visitor of ' || sequence_id as "
            "visitor_id, items, event_times, event_times[-1] as ended_at from filled"
        )
        self.connection.unregister("filled")
        self.connection.execute(
            "create or replace table catalog.items as "
            "select unnest($items) as item_id, '' as title, '' as category, null::double as price, true as available",
            {"items": items},
        )
        self.connection.execute(
            "create or replace view sessions.latest_sequences as select visitor_id, items from sessions.sequences;"
            "create or replace view recommendations.popular_items as "
            "select row_number() over (order by item_id) as rank, item_id, 0.0 as score from catalog.items "
            "where available"
        )

    def run(self, job: str, settings: Settings, **wishes: object) -> dict:
        return run_job(job, self.connection, settings, **wishes)

    def night(self, settings: Settings) -> str:
        """Train and evaluate; return the live model's family."""
        self.run("train", settings)
        self.run("evaluate", settings)
        return self.live().split("-")[0]

    def live(self) -> str:
        [(version,)] = self.rows("select model_version from ml.models where status = 'live'")
        return version

    def rows(self, query: str, **parameters: object) -> list[tuple]:
        return self.connection.execute(query, parameters).fetchall()


def let_minutes_pass(monkeypatch) -> None:
    """Give training a clock that goes by minutes, so that no two models of a family have one name."""
    minutes = itertools.count()
    monkeypatch.setattr(
        "jobs.nightly.train.now", lambda: datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=next(minutes))
    )


def rings(count: int, length: int = 6, size: int = 6, rings_: int = 5, days: int = 20) -> list[Sequence]:
    """Return walks, each along one of a few rings of items, an event a minute, spread over some days."""
    return [
        (
            f"s{number:04}",
            [f"i{number % rings_}-{(number // rings_ + step) % size}" for step in range(length)],
            [START + DAY * (number * 7 % days) + timedelta(minutes=step) for step in range(length)],
        )
        for number in range(count)
    ]


def items_of(sequences: list[Sequence]) -> list[str]:
    return sorted({item for _, items, _ in sequences for item in items})
