"""Recording the runs of experiments in ``ml.experiment_runs``; storing and reading their metrics and ranks."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from jobs.core.arrays import Longs
from jobs.errors import redact
from jobs.evaluation.measure import Measurement, store_measurement
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection, transaction

INSERT_STARTED_RUN = """
    -- Nulls are written explicitly, because a row that replaces another keeps the values of unnamed columns
    insert or replace into ml.experiment_runs by name
    select
        $model_version as model_version, $experiment as experiment, $label as label, $model as model,
        $parameters as parameters, $seed as seed, $protocol as protocol, $embedding_model as embedding_model,
        $recipe_hash as recipe_hash, 'running' as status, $started_at as started_at,
        null as fit_seconds, null as recommend_seconds, null as validation_value, null as finished_at, null as error
"""


@dataclass(frozen=True)
class ExperimentRun:
    """One run of an experiment: a model with its parameters and seed, which is fitted and measured once.

    Attributes
    ----------
    parameters : dict
        All hyper-parameters: those that were given, and the default values of the others.
    given_parameters : dict
        Only the hyper-parameters that were given. The fit may choose values for some of the others.
    seed : int or None
        None for a model without randomness.
    embedding_model : str or None
        The name of the embeddings; None if the model reads none.
    recipe_hash : str
        A hash of all that determines the run's metrics and ranks.
    training_sequences : int or None
        The most sequences that the model learns from, the newest; None: all.
    """

    experiment: str
    label: str
    family: str
    parameters: dict[str, Any]
    given_parameters: dict[str, Any]
    seed: int | None
    protocol: str
    embedding_model: str | None
    recipe_hash: str
    training_sequences: int | None

    @property
    def model_version(self) -> str:
        """The run's ``model_version`` in ``ml.model_metrics`` and ``ml.model_ranks``; ``ml.models`` has no such row."""
        return f"experiment/{self.experiment}/{self.label}/{self.recipe_hash[:12]}"

    @property
    def label_and_seed(self) -> str:
        """The run's label and seed as one text, for messages and reports."""
        return self.label if self.seed is None else f"{self.label}, seed {self.seed}"

    @property
    def split_name(self) -> str:
        """The name of the test part on which the run is measured: the column ``split`` of ``ml.model_metrics``."""
        return f"{self.protocol}/test"


@dataclass(frozen=True)
class RunOutcome:
    """The results of one run of an experiment.

    Attributes
    ----------
    measurement : Measurement
        Metrics and ranks of the test part.
    fit_seconds, recommend_seconds : float
        Wall-clock time of fitting, and of recommending for all test cases.
    validation_ndcg : float or None
        Mean nDCG@20 of the validation cases; None if there is no validation case.
    """

    measurement: Measurement
    fit_seconds: float
    recommend_seconds: float
    validation_ndcg: float | None


def mark_killed_and_list_finished_runs(connection: Connection, experiment_name: str) -> set[str]:
    """Return the ``model_version`` of each run that is done; mark killed runs as ``interrupted``."""
    connection.execute(
        "update ml.experiment_runs set status = 'interrupted', finished_at = ? "
        "where experiment = ? and status = 'running'",
        [now(), experiment_name],
    )
    rows = connection.execute(
        "select model_version from ml.experiment_runs where experiment = ? and status = 'done'", [experiment_name]
    ).fetchall()
    return {name for (name,) in rows}


def record_start(connection: Connection, experiment_run: ExperimentRun) -> None:
    """Record that a run has begun; this replaces the row of an earlier attempt."""
    connection.execute(
        INSERT_STARTED_RUN,
        {
            "model_version": experiment_run.model_version,
            "experiment": experiment_run.experiment,
            "label": experiment_run.label,
            "model": experiment_run.family,
            "parameters": json.dumps(experiment_run.parameters),
            "seed": experiment_run.seed,
            "protocol": experiment_run.protocol,
            "embedding_model": experiment_run.embedding_model,
            "recipe_hash": experiment_run.recipe_hash,
            "started_at": now(),
        },
    )


def store_outcome(
    connection: Connection, experiment_run: ExperimentRun, cases_hash: str, run_outcome: RunOutcome
) -> None:
    """Store a run's results and record that the run is done, in one transaction."""
    with transaction(connection):
        store_measurement(
            connection, experiment_run.model_version, experiment_run.split_name, cases_hash, run_outcome.measurement
        )
        record_done(
            connection,
            experiment_run,
            run_outcome.fit_seconds,
            run_outcome.recommend_seconds,
            run_outcome.validation_ndcg,
        )


def record_done(
    connection: Connection,
    experiment_run: ExperimentRun,
    fit_seconds: float,
    recommend_seconds: float | None,
    validation_ndcg: float | None,
) -> None:
    """Record that a run or a search is done, with its parameters, its seconds and its validation nDCG."""
    connection.execute(
        "update ml.experiment_runs set status = 'done', fit_seconds = ?, recommend_seconds = ?, validation_value = ?, "
        "finished_at = ?, parameters = ? where model_version = ?",
        [
            fit_seconds,
            recommend_seconds,
            validation_ndcg,
            now(),
            json.dumps(experiment_run.parameters),
            experiment_run.model_version,
        ],
    )


def record_failure(connection: Connection, experiment_run: ExperimentRun, error: Exception) -> str:
    """Record that a run failed, with the error's message without secrets as the reason; return the reason."""
    reason = redact(f"{type(error).__name__}: {error}")
    connection.execute(
        "update ml.experiment_runs set status = 'failed', error = ?, finished_at = ? where model_version = ?",
        [reason, now(), experiment_run.model_version],
    )
    return reason


def read_runs(connection: Connection, model_versions: list[str]) -> pl.DataFrame:
    """Read the rows of runs in ``ml.experiment_runs``, with the model, seed, status and times of each run."""
    return _read_rows(
        connection,
        model_versions,
        "select model_version, label, model, seed, status, fit_seconds, recommend_seconds, validation_value, error "
        "from ml.experiment_runs",
    )


def read_metrics(connection: Connection, model_versions: list[str]) -> pl.DataFrame:
    """Read the metrics of runs from ``ml.model_metrics``: a row for each metric, k and segment of the test cases."""
    query = "select model_version, segment, metric, k, value, n from ml.model_metrics"
    return _read_rows(connection, model_versions, query)


def _read_rows(connection: Connection, model_versions: list[str], query: str) -> pl.DataFrame:
    """Run a query without a WHERE clause, and return the rows whose ``model_version`` is one of ``model_versions``."""
    table = connection.execute(f"{query} where list_contains(?, model_version)", [model_versions]).to_arrow_table()
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table never becomes a Series
    return frame


def read_target_ranks(connection: Connection, model_versions: list[str], cases_hash: str) -> dict[str, Longs]:
    """Read the target ranks of those runs whose test cases have the hash ``cases_hash``.

    Returns
    -------
    dict of model_version -> int64 array (cases,)
    """
    rows = connection.execute(
        "select model_version, target_ranks from ml.model_ranks where list_contains(?, model_version) "
        "and cases_hash = ?",
        [model_versions, cases_hash],
    ).fetchall()
    return {name: np.asarray(ranks, dtype=np.int64) for name, ranks in rows}
