"""An experiment's report as Markdown."""

from collections.abc import Iterable

from jobs.core.metrics import METRICS
from jobs.evaluation.comparison import Comparison, Estimate
from jobs.evaluation.measure import CUT_OFFS
from jobs.experiments.report import ModelSummary
from jobs.experiments.search import SearchResult, parameters_as_toml
from jobs.experiments.spec import Experiment

METRIC_NAMES = {
    "ndcg": "nDCG",
    "hit_rate": "HR",
    "mrr": "MRR",
    "coverage": "coverage",
    "serendipity": "serendipity",
    "novelty": "novelty",
}
"""The name of each metric in reports."""


def markdown(
    experiment: Experiment, summaries: list[ModelSummary], failures: dict[str, str], search_results: list[SearchResult]
) -> str:
    """Return the report as Markdown: tables of the comparison, metrics, segments and seeds; best parameters; failures.

    Parameters
    ----------
    failures : label -> reason
        The runs and searches that failed.
    search_results : list of SearchResult
        The best parameters that each search found.
    """
    metric = f"{METRIC_NAMES[experiment.metric]}@{experiment.k}"
    parts = [f"# {experiment.name}", ""]
    if summaries:
        case_count = summaries[0].cases["all"]
        parts += [f"Protocol {experiment.protocol}, {case_count:,} test cases. {_explanation(experiment, metric)}", ""]
        parts += [*_comparison_table(summaries, metric), "", *_metrics_table(summaries)]
        if len(summaries[0].cases) > 1:
            parts += ["", f"{metric} by segment:", "", *_segments_table(summaries)]
        if any(len(summary.seeds) > 1 for summary in summaries):
            parts += ["", f"{metric} by seed:", "", *_seeds_table(summaries)]
    if search_results:
        parts += [
            "",
            "Best parameters on the folds of the training part:",
            "",
            "```toml",
            parameters_as_toml(search_results).rstrip(),
            "```",
        ]
    if failures:
        parts += ["", "Failed:", "", *(f"- {label}: {_one_line(why)}" for label, why in failures.items())]
    return "\n".join(parts) + "\n"


def _explanation(experiment: Experiment, metric: str) -> str:
    """Return the sentences of the report that explain its figures."""
    text = (
        f"{metric} is the mean over seeds, in brackets the 95 % bootstrap interval over cases. Minutes are of fitting "
        "and recommending, all seeds together; of a run that was killed, those since it went on."
    )
    if experiment.baseline is None:
        return text
    return (
        f"{text} Differences are paired with those of {experiment.baseline}; p is of the two-sided paired permutation "
        "test, not corrected for the number of models."
    )


def _comparison_table(summaries: list[ModelSummary], metric: str) -> list[str]:
    """Return the table of models: runs, the experiment's metric, its difference to the baseline's, and minutes."""
    has_baseline = any(summary.differences for summary in summaries)
    head = ["model", "runs", metric, *(["difference", "p"] if has_baseline else []), "minutes"]
    rows = []
    for summary in summaries:
        row = [summary.label, str(len(summary.seeds)), _with_interval(summary.estimates["all"])]
        if has_baseline:
            difference = summary.differences.get("all")
            row += [_with_interval(difference), f"{difference.p_value:.4f}"] if difference else ["", ""]
        rows.append([*row, f"{summary.minutes:,.1f}"])
    return _table(head, rows)


def _metrics_table(summaries: list[ModelSummary]) -> list[str]:
    """Return a table of every metric of each model, at every cut-off."""
    columns = {f"{metric}@{k}": f"{METRIC_NAMES[metric]}@{k}" for k in CUT_OFFS for metric in METRICS}
    rows = [[summary.label, *(_number(summary.means.get(column)) for column in columns)] for summary in summaries]
    return _table(["model", *columns.values()], rows)


def _segments_table(summaries: list[ModelSummary]) -> list[str]:
    """Return a table of the experiment's metric on each segment, with its difference to the baseline's."""
    segments = [segment for segment in summaries[0].cases if segment != "all"]
    head = ["model", *(f"{segment.replace('_', ' ')} ({summaries[0].cases[segment]:,})" for segment in segments)]
    rows = [[summary.label, *(_segment_cell(summary, segment) for segment in segments)] for summary in summaries]
    return _table(head, rows)


def _segment_cell(summary: ModelSummary, segment: str) -> str:
    """Return a table cell: a model's value on a segment, with its difference to the baseline's."""
    difference = summary.differences.get(segment)
    compared = f", {difference.mean:+.4f} (p {difference.p_value:.4f})" if difference else ""
    return _with_interval(summary.estimates[segment]) + compared


def _seeds_table(summaries: list[ModelSummary]) -> list[str]:
    """Return a table of the experiment's metric for each seed, of models that were run with several seeds."""
    rows = [
        [summary.label, str(seed), f"{value:.4f}"]
        for summary in summaries
        if len(summary.seeds) > 1
        for seed, value in zip(summary.seeds, summary.by_seed, strict=True)
    ]
    return _table(["model", "seed", "value"], rows)


def _with_interval(estimate: Estimate) -> str:
    """Return a mean with its interval as text; if it is the mean of a difference, numbers have a sign."""
    sign = "+" if isinstance(estimate, Comparison) else ""
    interval = "" if estimate.ci_low is None else f" [{estimate.ci_low:{sign}.4f}, {estimate.ci_high:{sign}.4f}]"
    return f"{estimate.mean:{sign}.4f}{interval}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _table(head: list[str], rows: Iterable[list[str]]) -> list[str]:
    """Return the lines of a Markdown table: the first column is aligned left, other columns right."""
    alignment = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(row)} |" for row in (head, alignment, *rows)]
