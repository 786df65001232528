"""The record of an experiment's runs in ``ml.experiment_runs``, and their figures beside it."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from jobs.core.arrays import Longs
from jobs.errors import redact
from jobs.evaluation.measure import Measured, store_measured
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection, transaction

START = """
    -- the nulls are written out: a row in place of another keeps what is not named
    insert or replace into ml.experiment_runs by name
    select
        $model_version as model_version, $experiment as experiment, $label as label, $model as model,
        $parameters as parameters, $seed as seed, $protocol as protocol, $embedding_model as embedding_model,
        $recipe_hash as recipe_hash, 'running' as status, $started_at as started_at,
        null as fit_seconds, null as recommend_seconds, null as validation_value, null as finished_at, null as error
"""


@dataclass(frozen=True)
class Run:
    """One fit of an experiment: what it is made of, and the name under which its figures are kept."""

    experiment: str
    label: str
    family: str
    parameters: dict[str, Any]
    seed: int | None
    protocol: str
    embedding_model: str | None
    recipe_hash: str

    @property
    def model_version(self) -> str:
        """Its name in ``ml.model_metrics`` and ``ml.model_ranks``; never one of ``ml.models``."""
        return f"experiment/{self.experiment}/{self.label}/{self.recipe_hash[:12]}"

    @property
    def split(self) -> str:
        """The part it is measured on, spelt as everywhere in ``ml.model_metrics``."""
        return f"{self.protocol}/test"


@dataclass(frozen=True)
class Outcome:
    """What a run found.

    Attributes
    ----------
    measured : Measured
        Of the test part.
    """

    measured: Measured
    fit_seconds: float
    recommend_seconds: float
    validation_value: float | None


def finished(connection: Connection, experiment: str) -> set[str]:
    """Return the model_versions that need not be run again; what a killed process left running is interrupted."""
    connection.execute(
        "update ml.experiment_runs set status = 'interrupted', finished_at = ? "
        "where experiment = ? and status = 'running'",
        [now(), experiment],
    )
    rows = connection.execute(
        "select model_version from ml.experiment_runs where experiment = ? and status = 'done'", [experiment]
    ).fetchall()
    return {name for (name,) in rows}


def start(connection: Connection, run: Run) -> None:
    """Write that a run has begun, in place of what an earlier try left."""
    connection.execute(
        START,
        {
            "model_version": run.model_version, "experiment": run.experiment, "label": run.label, "model": run.family,
            "parameters": json.dumps(run.parameters), "seed": run.seed, "protocol": run.protocol,
            "embedding_model": run.embedding_model, "recipe_hash": run.recipe_hash, "started_at": now(),
        },
    )  # fmt: skip


def finish(connection: Connection, run: Run, cases_hash: str, outcome: Outcome) -> None:
    """Commit a run's figures and that it is done, all or nothing."""
    with transaction(connection):
        store_measured(connection, run.model_version, run.split, cases_hash, outcome.measured)
        close(connection, run, outcome.fit_seconds, outcome.recommend_seconds, outcome.validation_value)


def close(
    connection: Connection, run: Run, fit_seconds: float, recommend_seconds: float | None, value: float | None
) -> None:
    """Write that a run is done, with which parameters, and what it took."""
    connection.execute(
        "update ml.experiment_runs set status = 'done', fit_seconds = ?, recommend_seconds = ?, validation_value = ?, "
        "finished_at = ?, parameters = ? where model_version = ?",
        [fit_seconds, recommend_seconds, value, now(), json.dumps(run.parameters), run.model_version],
    )


def fail(connection: Connection, run: Run, error: Exception) -> str:
    """Write that a run failed, and return why."""
    reason = redact(f"{type(error).__name__}: {error}")
    connection.execute(
        "update ml.experiment_runs set status = 'failed', error = ?, finished_at = ? where model_version = ?",
        [reason, now(), run.model_version],
    )
    return reason


def read_runs(connection: Connection, versions: list[str]) -> pl.DataFrame:
    """Read the rows of some runs: ``model_version, label, model, seed, status, fit_seconds, …``."""
    return _rows_of(
        connection,
        versions,
        "select model_version, label, model, seed, status, fit_seconds, recommend_seconds, validation_value, error "
        "from ml.experiment_runs",
    )


def read_metrics(connection: Connection, versions: list[str]) -> pl.DataFrame:
    """Read ``model_version, segment, metric, k, value, n`` of some runs."""
    query = "select model_version, segment, metric, k, value, n from ml.model_metrics"
    return _rows_of(connection, versions, query)


def _rows_of(connection: Connection, versions: list[str], query: str) -> pl.DataFrame:
    found = connection.execute(f"{query} where list_contains(?, model_version)", [versions])
    frame = pl.from_arrow(found.to_arrow_table())
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table never becomes a Series
    return frame


def read_ranks(connection: Connection, versions: list[str], cases_hash: str) -> dict[str, Longs]:
    """Read the ranks, int64 array (cases,), of runs on the very same cases."""
    rows = connection.execute(
        "select model_version, target_ranks from ml.model_ranks where list_contains(?, model_version) "
        "and cases_hash = ?",
        [versions, cases_hash],
    ).fetchall()
    return {name: np.asarray(ranks, dtype=np.int64) for name, ranks in rows}
