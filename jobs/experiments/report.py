"""What an experiment found, a summary a label: means, intervals, differences to the baseline, by segment and seed."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from jobs.core.arrays import Bools, Doubles, Longs
from jobs.core.metrics import METRICS, rank_values
from jobs.experiments.comparison import Comparison, Estimate, compare, estimate

CUT_OFFS = (10, 20)


@dataclass(frozen=True)
class ModelSummary:
    """What was found of one label.

    Attributes
    ----------
    seeds : list of int or None
        Of its runs that are done, ascending; None for a model without randomness.
    means : "metric@k" -> float
        Over the seeds, of all test cases; a metric that has no value is left out.
    by_seed : list of float
        The experiment's own metric, in the order of ``seeds``.
    estimates, differences : segment -> Estimate, Comparison
        Of the experiment's own metric, its values averaged over the seeds case by case; "all" is every case. There is
        no difference without a baseline, of the baseline itself, or where it has no run that is done.
    cases : segment -> int
    minutes : float
        Of fitting and recommending, all runs together; of one that was killed, those since it went on.
    """

    label: str
    family: str
    seeds: list[int | None]
    means: dict[str, float]
    by_seed: list[float]
    estimates: dict[str, Estimate]
    differences: dict[str, Comparison]
    cases: dict[str, int]
    minutes: float

    def as_dict(self) -> dict[str, Any]:
        """Return it for machines."""
        return asdict(self)


@dataclass(frozen=True)
class Results:
    """An experiment's runs that are done.

    Attributes
    ----------
    runs : polars.DataFrame
        ``model_version, label, model, seed, fit_seconds, recommend_seconds``.
    metrics : polars.DataFrame
        ``model_version, segment, metric, k, value``.
    ranks : model_version -> int64 array (cases,)
    """

    runs: pl.DataFrame
    metrics: pl.DataFrame
    ranks: dict[str, Longs]


def summarize(
    found: Results, segments: dict[str, Bools], labels: list[str], baseline: str | None, metric: str, k: int
) -> list[ModelSummary]:
    """Return a line a label that has a run, in the order of ``labels``.

    Parameters
    ----------
    segments : name -> bool array (cases,)
        Besides "all".
    metric, k
        ``ndcg``, ``hit_rate`` or ``mrr``, at 10 or 20: what a rank says.
    """
    rows = {label: found.runs.filter(pl.col("label") == label).sort("seed") for label in labels}
    values = {
        label: np.array([rank_values(found.ranks[name], metric, k) for name in runs["model_version"]])
        for label, runs in rows.items()
        if len(runs)
    }
    other = values.get(baseline) if baseline else None
    return [
        _line(label, rows[label], found.metrics, each, segments, None if label == baseline else other)
        for label, each in values.items()
    ]


def _line(
    label: str, runs: pl.DataFrame, metrics: pl.DataFrame, values: Doubles, segments: dict[str, Bools],
    baseline: Doubles | None,
) -> ModelSummary:  # fmt: skip
    own, other = values.mean(axis=0), None if baseline is None else baseline.mean(axis=0)
    parts = {"all": np.ones(len(own), np.bool_), **segments}
    return ModelSummary(
        label,
        runs["model"][0],
        runs["seed"].to_list(),
        means(metrics.filter(pl.col("model_version").is_in(runs["model_version"].implode()))),
        values.mean(axis=1).tolist(),
        {name: estimate(own[part]) for name, part in parts.items()},
        {} if other is None else {name: compare(own[part], other[part]) for name, part in parts.items()},
        {name: int(part.sum()) for name, part in parts.items()},
        sum(runs["fit_seconds"].to_list() + runs["recommend_seconds"].to_list()) / 60,
    )


def means(metrics: pl.DataFrame) -> dict[str, float]:
    """Return each metric's mean over the runs in the rows, of all test cases, by "metric@k"."""
    rows = metrics.filter((pl.col("segment") == "all") & pl.col("value").is_not_null())
    found = {(metric, k): value for metric, k, value in rows.group_by("metric", "k").agg(pl.mean("value")).iter_rows()}
    return {f"{metric}@{k}": found[metric, k] for k in CUT_OFFS for metric in METRICS if (metric, k) in found}
