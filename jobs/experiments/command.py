"""`nextmart experiment`: search, run what is not done, then report on all of it."""

from pathlib import Path

import polars as pl

from jobs.experiments import records as store
from jobs.experiments.evaluation_data import EvaluationData, read_evaluation_data
from jobs.experiments.markdown import NAMES, markdown
from jobs.experiments.plot import plot
from jobs.experiments.report import ModelSummary, Results, summarize
from jobs.experiments.runner import Planned, plan, run_all
from jobs.experiments.search import search, toml
from jobs.experiments.spec import Experiment
from jobs.experiments.vectors import read_vectors
from jobs.language_models.services import Services
from jobs.settings import Settings
from jobs.warehouse.connection import Connection
from jobs.warehouse.job_runs import JobRun


def experiment(
    connection: Connection, settings: Settings, run: JobRun, what: Experiment, folder: Path, max_cost: float = 0.0
) -> str:
    """Run an experiment as far as it is not done, write its report and plot to ``folder``, and return the report.

    The run's detail is what machines read. Its status is ``incomplete`` where a model failed.
    """
    data = read_evaluation_data(connection, settings, what.protocol, what.test_limit)
    vectors = read_vectors(connection, settings, what.variants(), data.catalog, max_cost)
    services = Services(connection, settings)  # prompt_max_cost is for searches and runs together
    best, searches_failed = search(services, what, data, max_cost)
    planned = plan(what, data, vectors)
    run.rows_in = len(planned)
    failed = run_all(services, planned, data)
    run.rows_out = len(planned) - len(failed)
    lines = read_lines(connection, what, data, planned)
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


def read_lines(
    connection: Connection, what: Experiment, data: EvaluationData, planned: list[Planned]
) -> list[ModelSummary]:
    """Read the figures of the planned runs that are done, and summarize them by label."""
    versions = [each.run.model_version for each in planned]
    ranks = store.read_ranks(connection, versions, data.cases_hash)
    runs = store.read_runs(connection, versions).filter(pl.col("status") == "done")
    found = Results(runs, store.read_metrics(connection, versions), ranks)
    labels = [variant.label for variant in what.variants()]
    return summarize(found, data.segments, labels, what.baseline, what.metric, what.k)
