"""`nextmart experiment`: search parameters, make the runs that are not done yet, and report on all runs."""

from pathlib import Path

import polars as pl

from jobs.experiments import records
from jobs.experiments.evaluation_data import EvaluationData, read_evaluation_data
from jobs.experiments.markdown import METRIC_NAMES, markdown
from jobs.experiments.plot import plot
from jobs.experiments.report import ModelSummary, Results, summarize
from jobs.experiments.runner import PlannedRun, plan, run_all
from jobs.experiments.search import search, toml
from jobs.experiments.spec import Experiment
from jobs.experiments.vectors import read_vectors
from jobs.language_models.services import Services
from jobs.settings import Settings
from jobs.warehouse.connection import Connection
from jobs.warehouse.job_runs import JobRun


def experiment(
    connection: Connection, settings: Settings, run: JobRun, spec: Experiment, folder: Path, max_cost: float = 0.0
) -> str:
    """Make an experiment's searches and runs that are not done yet, write the report and plot, and return the report.

    The run's detail contains the same results for machines. Its status is ``incomplete`` if a model or search failed.

    Parameters
    ----------
    folder : Path
        The folder of the report and the plot.
    max_cost : float
        The most that vectors of other item texts may cost, in US dollars.
    """
    data = read_evaluation_data(connection, settings, spec.protocol, spec.test_limit)
    vectors = read_vectors(connection, settings, spec.variants(), data.catalog, max_cost)
    services = Services(connection, settings)  # one for searches and runs, which share prompt_max_cost
    best, failed_searches = search(services, spec, data, max_cost)
    planned = plan(spec, data, vectors)
    run.rows_in = len(planned)
    failed_runs = run_all(services, planned, data)
    run.rows_out = len(planned) - len(failed_runs)
    summaries = read_summaries(connection, spec, data, planned)
    labels = {one.run.model_version: one.run.label_and_seed for one in planned}
    failures = {labels[version]: why for version, why in failed_runs.items()} | failed_searches
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(spec, summaries, failures, best)
    report = folder / f"{spec.name}.md"
    report.write_text(text, encoding="utf-8")
    run.detail = {
        "experiment": spec.name,
        "protocol": spec.protocol,
        "metric": f"{spec.metric}@{spec.k}",
        "report": str(report),
        "models": [summary.as_dict() for summary in summaries],
        "best_parameters": {one.model.family: {"value": one.value, "parameters": one.model.parameters} for one in best},
        "failed": failures,
    }
    if best:
        (folder / f"{spec.name}-best.toml").write_text(toml(best), encoding="utf-8")
    picture = folder / f"{spec.name}.png"
    if summaries and plot(summaries, spec.name, f"{METRIC_NAMES[spec.metric]}@{spec.k}", picture):
        run.detail["plot"] = str(picture)
    if failures:
        run.status = "incomplete"
    return text


def read_summaries(
    connection: Connection, spec: Experiment, data: EvaluationData, planned: list[PlannedRun]
) -> list[ModelSummary]:
    """Read the figures of the planned runs that are done, and summarize them by label."""
    versions = [one.run.model_version for one in planned]
    ranks = records.read_ranks(connection, versions, data.cases_hash)
    runs = records.read_runs(connection, versions).filter(pl.col("status") == "done")
    results = Results(runs, records.read_metrics(connection, versions), ranks)
    labels = [variant.label for variant in spec.variants()]
    return summarize(results, data.segments, labels, spec.baseline, spec.metric, spec.k)
