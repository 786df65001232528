"""A picture of an experiment's means with their intervals."""

from pathlib import Path

from jobs.experiments.report import ModelSummary
from jobs.progress import say


def plot(summaries: list[ModelSummary], title: str, axis: str, path: Path) -> bool:
    """Draw each model's mean, interval and seeds, the first model on top, and write the picture as a PNG.

    Parameters
    ----------
    axis : str
        The name of the metric.

    Returns
    -------
    bool
        False if matplotlib is not installed: then nothing is written, and a message tells so.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        say("no plot: matplotlib is not installed; pip install 'nextmart[experiments]' brings it")
        return False
    # not pyplot: it keeps global state, and looks for a screen
    figure = Figure(figsize=(8, 1.2 + 0.35 * len(summaries)), layout="constrained")
    axes = figure.subplots()
    places = range(len(summaries))
    for place, summary in enumerate(summaries):
        estimate = summary.estimates["all"]
        if estimate.ci_low is not None and estimate.ci_high is not None:
            axes.plot([estimate.ci_low, estimate.ci_high], [place, place], color="0.5", linewidth=2)
        axes.plot(summary.by_seed, [place] * len(summary.by_seed), "|", color="tab:blue", markersize=10)
        axes.plot([estimate.mean], [place], "o", color="black")
    axes.set_yticks(places, [summary.label for summary in summaries])
    axes.invert_yaxis()
    axes.set_xlabel(f"{axis}: mean, 95 % interval over cases, and each seed (|)")
    axes.set_title(title)
    figure.savefig(path, dpi=150, metadata={"Software": None})
    return True
