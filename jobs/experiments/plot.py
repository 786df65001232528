"""An experiment's means with their intervals, as a picture."""

from pathlib import Path

from jobs.experiments.report import ModelSummary
from jobs.progress import say


def plot(lines: list[ModelSummary], title: str, axis: str, path: Path) -> bool:
    """Write a PNG with a mark and an interval a label, the first on top; False without matplotlib, which is said."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        say("no plot: matplotlib is not installed; pip install 'nextmart[experiments]' brings it")
        return False
    # not pyplot: that keeps state, and looks for a screen
    figure = Figure(figsize=(8, 1.2 + 0.35 * len(lines)), layout="constrained")
    axes = figure.subplots()
    places = range(len(lines))
    for place, line in enumerate(lines):
        found = line.estimates["all"]
        if found.ci_low is not None and found.ci_high is not None:
            axes.plot([found.ci_low, found.ci_high], [place, place], color="0.5", linewidth=2)
        axes.plot(line.by_seed, [place] * len(line.by_seed), "|", color="tab:blue", markersize=10)
        axes.plot([found.mean], [place], "o", color="black")
    axes.set_yticks(places, [line.label for line in lines])
    axes.invert_yaxis()
    axes.set_xlabel(f"{axis}: mean, 95 % interval over cases, and each seed (|)")
    axes.set_title(title)
    figure.savefig(path, dpi=150, metadata={"Software": None})
    return True
