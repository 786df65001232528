"""Drawing an experiment's plot: each model's mean metric with its bootstrap interval."""

from pathlib import Path

from jobs.experiments.summaries import ModelSummary
from jobs.progress import say


def plot_summaries(summaries: list[ModelSummary], title: str, metric_name: str, path: Path) -> bool:
    """Write a PNG file with each model's mean metric, its interval and its value for each seed; the first model on top.

    Parameters
    ----------
    metric_name : str
        The metric's name, for the label of the horizontal axis.

    Returns
    -------
    bool
        Whether the file was written. If matplotlib is not installed, it is not, and a message says so.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        say("no plot: matplotlib is not installed; pip install 'nextmart[experiments]' brings it")
        return False
    # pyplot is not used, because it keeps global state and looks for a screen
    figure = Figure(figsize=(8, 1.2 + 0.35 * len(summaries)), layout="constrained")
    axes = figure.subplots()
    rows = range(len(summaries))
    for row, summary in enumerate(summaries):
        estimate = summary.estimate_by_segment["all"]
        if estimate.ci_low is not None and estimate.ci_high is not None:
            axes.plot([estimate.ci_low, estimate.ci_high], [row, row], color="0.5", linewidth=2)
        values = summary.metric_value_of_each_seed
        axes.plot(values, [row] * len(values), "|", color="tab:blue", markersize=10)
        axes.plot([estimate.mean], [row], "o", color="black")
    axes.set_yticks(rows, [summary.label for summary in summaries])
    axes.invert_yaxis()
    axes.set_xlabel(f"{metric_name}: mean, 95 % interval over cases, and each seed (|)")
    axes.set_title(title)
    figure.savefig(path, dpi=150, metadata={"Software": None})
    return True
