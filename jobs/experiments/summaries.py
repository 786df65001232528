"""Summaries of an experiment's models: means, intervals, and differences to the baseline, by segment and seed."""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from jobs.core.arrays import Bools, Doubles, Longs
from jobs.core.metrics import INTRA_LIST_SIMILARITY, METRICS, case_values_from_ranks
from jobs.evaluation.comparison import Comparison, Estimate, compare_case_values, estimate_mean
from jobs.evaluation.measure import CUT_OFFS

PUBLIC_KEYS: Final = {
    "metric_means": "means",
    "metric_value_of_each_seed": "by_seed",
    "estimate_by_segment": "estimates",
    "case_count_by_segment": "cases",
    "difference_to_baseline_by_segment": "differences",
    "total_fit_and_recommend_minutes": "minutes",
}
"""Fields of :class:`ModelSummary` that have another key in JSON: field name -> key."""


@dataclass(frozen=True)
class ModelSummary:
    """The results of one model of an experiment, over all its seeds.

    Attributes
    ----------
    seeds : list of int or None
        The seeds of the model's finished runs, ascending; None for a model without randomness.
    metric_means : "metric@k" -> float
        Each metric's mean over the seeds, on all test cases; a metric without a value is left out.
    metric_value_of_each_seed : list of float
        The experiment's own metric for each seed, in the order of ``seeds``.
    estimate_by_segment : segment -> Estimate
        The mean of the experiment's own metric on each segment, with its interval; "all" is every test case. The values
        of each case are first averaged over the seeds.
    difference_to_baseline_by_segment : segment -> Comparison
        The mean difference to the baseline on each segment. It is empty for the baseline itself, and if no baseline is
        named or has a finished run.
    case_count_by_segment : segment -> int
        The number of test cases of each segment.
    total_fit_and_recommend_minutes : float
        The time of fitting and recommending, summed over the model's runs. Of a run that was killed and
        continued, only the time since it continued counts.
    """

    label: str
    family: str
    seeds: list[int | None]
    metric_means: dict[str, float]
    metric_value_of_each_seed: list[float]
    estimate_by_segment: dict[str, Estimate]
    difference_to_baseline_by_segment: dict[str, Comparison]
    case_count_by_segment: dict[str, int]
    total_fit_and_recommend_minutes: float

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as dictionaries, lists and numbers, ready for JSON; its keys are public names."""
        return {PUBLIC_KEYS.get(name, name): value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class FinishedRuns:
    """The runs of an experiment that are done, with their metrics and ranks.

    Attributes
    ----------
    runs : polars.DataFrame
        A row for each run: ``model_version, label, model, seed, fit_seconds, recommend_seconds``.
    metrics : polars.DataFrame
        A row for each metric of a run: ``model_version, segment, metric, k, value``.
    target_ranks : model_version -> int64 array (cases,)
        The rank of each test case's target, 0 if the list lacks the target.
    """

    runs: pl.DataFrame
    metrics: pl.DataFrame
    target_ranks: dict[str, Longs]


def summarize_models(
    finished_runs: FinishedRuns,
    segment_masks: dict[str, Bools],
    model_labels: list[str],
    baseline_label: str | None,
    metric: str,
    k: int,
) -> list[ModelSummary]:
    """Return a summary of each model that has a finished run, in the order of ``model_labels``.

    Parameters
    ----------
    segment_masks : name -> bool array (cases,)
        Parts of the test cases that are also summarized, besides all cases.
    baseline_label : str, optional
        The label of the model with which the others are compared.
    metric : str
        One of ``ndcg``, ``hit_rate`` and ``mrr``, which can be computed from a target's rank.
    k : int
        The cut-off: 10 or 20.
    """
    runs_by_label = {label: finished_runs.runs.filter(pl.col("label") == label).sort("seed") for label in model_labels}
    values_by_label = {
        label: np.array(
            [
                case_values_from_ranks(finished_runs.target_ranks[version], metric, k)
                for version in runs["model_version"]
            ]
        )
        for label, runs in runs_by_label.items()
        if len(runs)
    }
    baseline_values = values_by_label.get(baseline_label) if baseline_label else None
    return [
        _summarize_label(
            label,
            runs_by_label[label],
            finished_runs.metrics,
            values,
            segment_masks,
            None if label == baseline_label else baseline_values,
        )
        for label, values in values_by_label.items()
    ]


def _summarize_label(
    model_label: str,
    runs_of_label: pl.DataFrame,
    all_metric_rows: pl.DataFrame,
    values_by_seed_and_case: Doubles,
    segment_masks: dict[str, Bools],
    baseline_values_by_seed_and_case: Doubles | None,
) -> ModelSummary:
    """Return the summary of one model.

    Parameters
    ----------
    values_by_seed_and_case, baseline_values_by_seed_and_case : float64 arrays (seeds, cases)
        The experiment's own metric for each seed and case.
    """
    mean_case_values = values_by_seed_and_case.mean(axis=0)
    baseline_means = None if baseline_values_by_seed_and_case is None else baseline_values_by_seed_and_case.mean(axis=0)
    parts = {"all": np.ones(len(mean_case_values), np.bool_), **segment_masks}
    differences = {}
    if baseline_means is not None:
        differences = {
            name: compare_case_values(mean_case_values[part], baseline_means[part]) for name, part in parts.items()
        }
    return ModelSummary(
        model_label,
        runs_of_label["model"][0],
        runs_of_label["seed"].to_list(),
        metric_means(all_metric_rows.filter(pl.col("model_version").is_in(runs_of_label["model_version"].implode()))),
        values_by_seed_and_case.mean(axis=1).tolist(),
        {name: estimate_mean(mean_case_values[part]) for name, part in parts.items()},
        differences,
        {name: int(part.sum()) for name, part in parts.items()},
        sum(runs_of_label["fit_seconds"].to_list() + runs_of_label["recommend_seconds"].to_list()) / 60,
    )


def metric_means(metric_rows: pl.DataFrame) -> dict[str, float]:
    """Return each metric's mean over the given runs, on all test cases, by "metric@k"."""
    rows = metric_rows.filter((pl.col("segment") == "all") & pl.col("value").is_not_null())
    means = {(metric, k): value for metric, k, value in rows.group_by("metric", "k").agg(pl.mean("value")).iter_rows()}
    names = (*METRICS, INTRA_LIST_SIMILARITY)
    return {f"{metric}@{k}": means[metric, k] for k in CUT_OFFS for metric in names if (metric, k) in means}
