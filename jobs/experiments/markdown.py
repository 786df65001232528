"""An experiment's report as Markdown."""

from collections.abc import Iterable

from jobs.core.metrics import METRICS
from jobs.evaluation.comparison import Comparison, Estimate
from jobs.evaluation.measure import CUT_OFFS
from jobs.experiments.search import SearchResult, parameters_as_toml
from jobs.experiments.spec import ExperimentSpec
from jobs.experiments.summaries import ModelSummary
from jobs.progress import on_one_line

METRIC_NAMES = {
    "ndcg": "nDCG",
    "hit_rate": "HR",
    "mrr": "MRR",
    "coverage": "coverage",
    "serendipity": "serendipity",
    "novelty": "novelty",
    "intra_list_similarity": "similarity in a list",
}
"""The name of each metric in reports."""


def report_as_markdown(
    experiment_spec: ExperimentSpec,
    summaries: list[ModelSummary],
    failure_reasons: dict[str, str],
    search_results: list[SearchResult],
) -> str:
    """Return the report as Markdown: tables of models, metrics, segments and seeds; best parameters; failures.

    Parameters
    ----------
    failure_reasons : label -> reason
        Why each failed run or search failed.
    search_results : list of SearchResult
        The best parameters that each search found.
    """
    metric_name = f"{METRIC_NAMES[experiment_spec.metric]}@{experiment_spec.k}"
    parts = [f"# {experiment_spec.name}", ""]
    if summaries:
        case_count = summaries[0].case_count_by_segment["all"]
        parts += [
            f"Protocol {experiment_spec.protocol}, {case_count:,} test cases. "
            f"{_explain_table_numbers(experiment_spec, metric_name)}",
            "",
        ]
        parts += [*_comparison_table(summaries, metric_name), "", *_metrics_table(summaries)]
        if len(summaries[0].case_count_by_segment) > 1:
            parts += ["", f"{metric_name} by segment:", "", *_segments_table(summaries)]
        if any(len(summary.seeds) > 1 for summary in summaries):
            parts += ["", f"{metric_name} by seed:", "", *_seeds_table(summaries)]
    if search_results:
        parts += [
            "",
            "Best parameters on the folds of the training part:",
            "",
            "```toml",
            parameters_as_toml(search_results).rstrip(),
            "```",
        ]
    if failure_reasons:
        parts += ["", "Failed:", "", *(f"- {label}: {on_one_line(why)}" for label, why in failure_reasons.items())]
    return "\n".join(parts) + "\n"


def _explain_table_numbers(experiment_spec: ExperimentSpec, metric_name: str) -> str:
    """Return the sentences that explain the numbers in the report's tables."""
    text = (
        f"{metric_name} is the mean over seeds, in brackets the 95 % bootstrap interval over cases. Minutes are of "
        "fitting and recommending, all seeds together; of a run that was killed, those since it went on."
    )
    if experiment_spec.baseline is None:
        return text
    return (
        f"{text} Differences are paired with those of {experiment_spec.baseline}; p is of the two-sided paired "
        "permutation test, not corrected for the number of models."
    )


def _comparison_table(summaries: list[ModelSummary], metric_name: str) -> list[str]:
    """Return the table of models: number of runs, the experiment's metric, difference to the baseline, and minutes."""
    has_baseline = any(summary.difference_to_baseline_by_segment for summary in summaries)
    head = ["model", "runs", metric_name, *(["difference", "p"] if has_baseline else []), "minutes"]
    rows = []
    for summary in summaries:
        row = [summary.label, str(len(summary.seeds)), _mean_with_interval(summary.estimate_by_segment["all"])]
        if has_baseline:
            difference = summary.difference_to_baseline_by_segment.get("all")
            row += [_mean_with_interval(difference), f"{difference.p_value:.4f}"] if difference else ["", ""]
        rows.append([*row, f"{summary.total_fit_and_recommend_minutes:,.1f}"])
    return _table_lines(head, rows)


def _metrics_table(summaries: list[ModelSummary]) -> list[str]:
    """Return a table of each model's metrics; similarity in a list gets its columns only if a model has it."""
    names = {
        metric: name
        for metric, name in METRIC_NAMES.items()
        if metric in METRICS or any(f"{metric}@{max(CUT_OFFS)}" in summary.metric_means for summary in summaries)
    }
    columns = {f"{metric}@{k}": f"{name}@{k}" for k in CUT_OFFS for metric, name in names.items()}
    rows = [
        [summary.label, *(_with_four_decimals(summary.metric_means.get(column)) for column in columns)]
        for summary in summaries
    ]
    return _table_lines(["model", *columns.values()], rows)


def _segments_table(summaries: list[ModelSummary]) -> list[str]:
    """Return a table of the experiment's metric on each segment of test cases, with the difference to the baseline."""
    case_counts = summaries[0].case_count_by_segment
    segments = [segment for segment in case_counts if segment != "all"]
    head = ["model", *(f"{segment.replace('_', ' ')} ({case_counts[segment]:,})" for segment in segments)]
    rows = [[summary.label, *(_segment_cell(summary, segment) for segment in segments)] for summary in summaries]
    return _table_lines(head, rows)


def _segment_cell(summary: ModelSummary, segment: str) -> str:
    """Return a table cell: a model's metric on a segment of the test cases, with the difference to the baseline."""
    difference = summary.difference_to_baseline_by_segment.get(segment)
    compared = f", {difference.mean:+.4f} (p {difference.p_value:.4f})" if difference else ""
    return _mean_with_interval(summary.estimate_by_segment[segment]) + compared


def _seeds_table(summaries: list[ModelSummary]) -> list[str]:
    """Return a table of the experiment's metric by model and seed, for models that were run with several seeds."""
    rows = [
        [summary.label, str(seed), f"{value:.4f}"]
        for summary in summaries
        if len(summary.seeds) > 1
        for seed, value in zip(summary.seeds, summary.metric_value_of_each_seed, strict=True)
    ]
    return _table_lines(["model", "seed", "value"], rows)


def _mean_with_interval(estimate: Estimate) -> str:
    """Return a mean with its interval as text; the mean of a difference has a sign, also if it is positive."""
    sign = "+" if isinstance(estimate, Comparison) else ""
    interval = "" if estimate.ci_low is None else f" [{estimate.ci_low:{sign}.4f}, {estimate.ci_high:{sign}.4f}]"
    return f"{estimate.mean:{sign}.4f}{interval}"


def _with_four_decimals(metric_value: float | None) -> str:
    return "" if metric_value is None else f"{metric_value:.4f}"


def _table_lines(header_cells: list[str], rows: Iterable[list[str]]) -> list[str]:
    """Return the lines of a Markdown table: the first column is aligned left, other columns right."""
    alignment = ["---", *["---:"] * (len(header_cells) - 1)]
    return [f"| {' | '.join(row)} |" for row in (header_cells, alignment, *rows)]
