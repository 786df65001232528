"""`nextmart experiment`: search for hyper-parameters, make the runs that are not done yet, and report on all runs."""

from pathlib import Path

import polars as pl

from jobs.experiments import records
from jobs.experiments.evaluation_data import EvaluationData, read_evaluation_data
from jobs.experiments.markdown import METRIC_NAMES, markdown
from jobs.experiments.plot import plot
from jobs.experiments.report import ModelSummary, Results, summarize
from jobs.experiments.runner import PlannedRun, plan_runs, run_all
from jobs.experiments.search import parameters_as_toml, search
from jobs.experiments.spec import Experiment
from jobs.experiments.vectors import read_vectors
from jobs.language_models.services import Services
from jobs.settings import Settings
from jobs.warehouse.connection import Connection
from jobs.warehouse.job_runs import JobRun


def experiment(
    connection: Connection,
    settings: Settings,
    run_record: JobRun,
    spec: Experiment,
    folder: Path,
    max_cost: float = 0.0,
) -> str:
    """Make an experiment's searches and runs that are not done yet, write the report and plot, and return the report.

    ``run_record.detail`` gets the same results for machines. ``run_record.status`` is ``incomplete`` if a model or
    search failed.

    Parameters
    ----------
    folder : Path
        The folder of the report and the plot.
    max_cost : float
        The most US dollars that vectors of item texts other than the warehouse's may cost.
    """
    data = read_evaluation_data(connection, settings, spec.protocol, spec.test_limit)
    vectors = read_vectors(connection, settings, spec.variants(), data.catalog, max_cost)
    services = Services(
        connection, settings
    )  # searches and runs share one object, so that prompt_max_cost limits both together
    search_results, failed_searches = search(services, spec, data, max_cost)
    planned = plan_runs(spec, data, vectors)
    run_record.rows_in = len(planned)
    failed_runs = run_all(services, planned, data)
    run_record.rows_out = len(planned) - len(failed_runs)
    summaries = read_summaries(connection, spec, data, planned)
    labels = {planned_run.run.model_version: planned_run.run.label_and_seed for planned_run in planned}
    failures = {labels[version]: why for version, why in failed_runs.items()} | failed_searches
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(spec, summaries, failures, search_results)
    report = folder / f"{spec.name}.md"
    report.write_text(text, encoding="utf-8")
    run_record.detail = {
        "experiment": spec.name,
        "protocol": spec.protocol,
        "metric": f"{spec.metric}@{spec.k}",
        "report": str(report),
        "models": [summary.as_dict() for summary in summaries],
        "best_parameters": {
            result.model.family: {"value": result.value, "parameters": result.model.parameters}
            for result in search_results
        },
        "failed": failures,
    }
    if search_results:
        (folder / f"{spec.name}-best.toml").write_text(parameters_as_toml(search_results), encoding="utf-8")
    picture = folder / f"{spec.name}.png"
    if summaries and plot(summaries, spec.name, f"{METRIC_NAMES[spec.metric]}@{spec.k}", picture):
        run_record.detail["plot"] = str(picture)
    if failures:
        run_record.status = "incomplete"
    return text


def read_summaries(
    connection: Connection, spec: Experiment, data: EvaluationData, planned: list[PlannedRun]
) -> list[ModelSummary]:
    """Read the metrics and ranks of the planned runs that are done, and summarize them by model label."""
    versions = [planned_run.run.model_version for planned_run in planned]
    ranks = records.read_ranks(connection, versions, data.cases_hash)
    runs = records.read_runs(connection, versions).filter(pl.col("status") == "done")
    results = Results(runs, records.read_metrics(connection, versions), ranks)
    labels = [variant.label for variant in spec.variants()]
    return summarize(results, data.segments, labels, spec.baseline, spec.metric, spec.k)
