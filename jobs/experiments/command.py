"""`nextmart experiment`: search, run what is not done, then report on all of it."""

from pathlib import Path

import polars as pl

from jobs.experiments import store
from jobs.experiments.bench import Bench, read_bench
from jobs.experiments.markdown import NAMES, markdown
from jobs.experiments.plot import plot
from jobs.experiments.report import Found, Line, summarize
from jobs.experiments.runner import Planned, plan, run_all
from jobs.experiments.search import search, toml
from jobs.experiments.spec import Experiment
from jobs.experiments.vectors import read_vectors
from jobs.prompting.access import Access
from jobs.settings import Settings
from jobs.warehouse import Connection, JobRun


def experiment(
    connection: Connection, settings: Settings, run: JobRun, what: Experiment, folder: Path, max_cost: float = 0.0
) -> str:
    """Run an experiment as far as it is not done, write its report and plot to ``folder``, and return the report.

    The run's detail is what machines read. Its status is ``incomplete`` where a model failed.
    """
    bench = read_bench(connection, settings, what.protocol, what.test_limit)
    vectors = read_vectors(connection, settings, what.variants(), bench.catalog, max_cost)
    access = Access(connection, settings)  # prompt_max_cost is for searches and runs together
    best, searches_failed = search(access, what, bench, max_cost)
    planned = plan(what, bench, vectors)
    run.rows_in = len(planned)
    failed = run_all(access, planned, bench)
    run.rows_out = len(planned) - len(failed)
    lines = read_lines(connection, what, bench, planned)
    names = {each.run.model_version: each.run for each in planned}
    failures = {
        names[version].label + ("" if names[version].seed is None else f", seed {names[version].seed}"): why
        for version, why in failed.items()
    } | searches_failed
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(what, lines, failures, best)
    report = folder / f"{what.name}.md"
    report.write_text(text, encoding="utf-8")
    run.detail = {
        "experiment": what.name,
        "protocol": what.protocol,
        "metric": f"{what.metric}@{what.k}",
        "report": str(report),
        "models": [line.as_dict() for line in lines],
        "best_parameters": {
            each.model.family: {"value": each.value, "parameters": each.model.parameters} for each in best
        },
        "failed": failures,
    }
    if best:
        (folder / f"{what.name}-best.toml").write_text(toml(best), encoding="utf-8")
    picture = folder / f"{what.name}.png"
    if lines and plot(lines, what.name, f"{NAMES[what.metric]}@{what.k}", picture):
        run.detail["plot"] = str(picture)
    if failures:
        run.status = "incomplete"
    return text


def read_lines(connection: Connection, what: Experiment, bench: Bench, planned: list[Planned]) -> list[Line]:
    """Read the figures of the planned runs that are done, and summarize them by label."""
    versions = [each.run.model_version for each in planned]
    ranks = store.read_ranks(connection, versions, bench.cases_hash)
    runs = store.read_runs(connection, versions).filter(pl.col("status") == "done")
    found = Found(runs, store.read_metrics(connection, versions), ranks)
    labels = [variant.label for variant in what.variants()]
    return summarize(found, bench.segments, labels, what.baseline, what.metric, what.k)
