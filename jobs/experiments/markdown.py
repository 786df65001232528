"""An experiment's report as Markdown."""

from collections.abc import Iterable

from jobs.core.metrics import METRICS
from jobs.experiments.comparison import Comparison, Estimate
from jobs.experiments.report import CUT_OFFS, ModelSummary
from jobs.experiments.search import Best, toml
from jobs.experiments.spec import Experiment

NAMES = {
    "ndcg": "nDCG", "hit_rate": "HR", "mrr": "MRR", "coverage": "coverage", "serendipity": "serendipity",
    "novelty": "novelty",
}  # fmt: skip


def markdown(experiment: Experiment, lines: list[ModelSummary], failures: dict[str, str], best: list[Best]) -> str:
    """Return the report: the comparison, all metrics, the segments, the seeds, and what failed.

    Parameters
    ----------
    failures : what failed -> why
    best : list of Best
        What searches found.
    """
    name = f"{NAMES[experiment.metric]}@{experiment.k}"
    parts = [f"# {experiment.name}", ""]
    if lines:
        cases = lines[0].cases["all"]
        parts += [f"Protocol {experiment.protocol}, {cases:,} test cases. {_explained(experiment, name)}", ""]
        parts += [*_comparison(lines, name), "", *_all_metrics(lines)]
        if len(lines[0].cases) > 1:
            parts += ["", f"{name} by segment:", "", *_segments(lines)]
        if any(len(line.seeds) > 1 for line in lines):
            parts += ["", f"{name} by seed:", "", *_seeds(lines)]
    if best:
        parts += ["", "Best parameters on the folds of the training part:", "", "```toml", toml(best).rstrip(), "```"]
    if failures:
        parts += ["", "Failed:", "", *(f"- {label}: {_one_line(why)}" for label, why in failures.items())]
    return "\n".join(parts) + "\n"


def _explained(experiment: Experiment, name: str) -> str:
    text = (
        f"{name} is the mean over seeds, in brackets the 95 % bootstrap interval over cases. Minutes are of fitting "
        "and recommending, all seeds together; of a run that was killed, those since it went on."
    )
    if experiment.baseline is None:
        return text
    return (
        f"{text} Differences are paired with those of {experiment.baseline}; p is of the two-sided paired permutation "
        "test, not corrected for the number of models."
    )


def _comparison(lines: list[ModelSummary], name: str) -> list[str]:
    has_baseline = any(line.differences for line in lines)
    head = ["model", "runs", name, *(["difference", "p"] if has_baseline else []), "minutes"]
    rows = []
    for line in lines:
        row = [line.label, str(len(line.seeds)), _interval(line.estimates["all"])]
        if has_baseline:
            compared = line.differences.get("all")
            row += [_interval(compared), f"{compared.p_value:.4f}"] if compared else ["", ""]
        rows.append([*row, f"{line.minutes:,.1f}"])
    return _table(head, rows)


def _all_metrics(lines: list[ModelSummary]) -> list[str]:
    columns = {f"{metric}@{k}": f"{NAMES[metric]}@{k}" for k in CUT_OFFS for metric in METRICS}
    rows = [[line.label, *(_number(line.means.get(column)) for column in columns)] for line in lines]
    return _table(["model", *columns.values()], rows)


def _segments(lines: list[ModelSummary]) -> list[str]:
    names = [name for name in lines[0].cases if name != "all"]
    head = ["model", *(f"{name.replace('_', ' ')} ({lines[0].cases[name]:,})" for name in names)]
    rows = [[line.label, *(_segment(line, name) for name in names)] for line in lines]
    return _table(head, rows)


def _segment(line: ModelSummary, name: str) -> str:
    compared = line.differences.get(name)
    return _interval(line.estimates[name]) + (f", {compared.mean:+.4f} (p {compared.p_value:.4f})" if compared else "")


def _seeds(lines: list[ModelSummary]) -> list[str]:
    rows = []
    for line in lines:
        if len(line.seeds) > 1:
            for seed, value in zip(line.seeds, line.by_seed, strict=True):
                rows.append([line.label, str(seed), f"{value:.4f}"])
    return _table(["model", "seed", "value"], rows)


def _interval(found: Estimate | Comparison) -> str:
    sign = "+" if isinstance(found, Comparison) else ""
    ends = "" if found.ci_low is None else f" [{found.ci_low:{sign}.4f}, {found.ci_high:{sign}.4f}]"
    return f"{found.mean:{sign}.4f}{ends}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _table(head: list[str], rows: Iterable[list[str]]) -> list[str]:
    marks = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(row)} |" for row in (head, marks, *rows)]
