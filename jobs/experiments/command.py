"""`nextmart experiment`: search for hyper-parameters, make the runs that are not done yet, and report on all runs."""

from pathlib import Path

import polars as pl

from jobs.experiments import records
from jobs.experiments.evaluation_data import EvaluationData, read_evaluation_data
from jobs.experiments.markdown import METRIC_NAMES, report_as_markdown
from jobs.experiments.plot import plot_summaries
from jobs.experiments.runner import PlannedRun, plan_runs, run_all
from jobs.experiments.search import parameters_as_toml, search_hyperparameters
from jobs.experiments.spec import ExperimentSpec
from jobs.experiments.summaries import FinishedRuns, ModelSummary, summarize_models
from jobs.experiments.vectors import Allowance, read_variant_vectors
from jobs.language_models.paid_services import PaidServices
from jobs.settings import Settings
from jobs.warehouse.connection import Connection
from jobs.warehouse.job_runs import JobRun


def run_experiment(
    connection: Connection,
    settings: Settings,
    run_record: JobRun,
    experiment_spec: ExperimentSpec,
    report_folder: Path,
    max_cost: float = 0.0,
) -> str:
    """Do an experiment's missing searches and runs, write the report and the plot, and return the report.

    ``run_record.detail`` gets the results as a dictionary, ready for JSON. ``run_record.status`` is
    ``incomplete`` if a model or search failed.

    Parameters
    ----------
    report_folder : Path
        The folder of the report and the plot.
    max_cost : float
        The spending limit, in US dollars, for vectors of item texts that the warehouse lacks: what all models and
        searches of the experiment may cost together.
    """
    evaluation_data = read_evaluation_data(
        connection, settings, experiment_spec.protocol, experiment_spec.test_limit, experiment_spec.sample
    )
    allowance = Allowance(max_cost)
    vectors = read_variant_vectors(connection, settings, experiment_spec.variants(), evaluation_data.catalog, allowance)
    # searches and runs share one PaidServices object, so that prompt_max_cost limits the sum that both spend
    paid_services = PaidServices(connection, settings)
    search_results, failed_searches = search_hyperparameters(paid_services, experiment_spec, evaluation_data, allowance)
    planned_runs = plan_runs(experiment_spec, evaluation_data, vectors)
    run_record.rows_in = len(planned_runs)
    failed_runs = run_all(paid_services, planned_runs, evaluation_data)
    run_record.rows_out = len(planned_runs) - len(failed_runs)
    summaries = read_summaries(connection, experiment_spec, evaluation_data, planned_runs)
    labels = {
        planned_run.experiment_run.model_version: planned_run.experiment_run.label_and_seed
        for planned_run in planned_runs
    }
    failure_reasons = {labels[version]: why for version, why in failed_runs.items()} | failed_searches
    report_folder.mkdir(parents=True, exist_ok=True)
    text = report_as_markdown(experiment_spec, summaries, failure_reasons, search_results)
    report = report_folder / f"{experiment_spec.name}.md"
    report.write_text(text, encoding="utf-8")
    run_record.detail = {
        "experiment": experiment_spec.name,
        "protocol": experiment_spec.protocol,
        "metric": f"{experiment_spec.metric}@{experiment_spec.k}",
        "report": str(report),
        "models": [summary.as_dict() for summary in summaries],
        "best_parameters": {
            result.best_variant.family: {"value": result.mean_ndcg, "parameters": result.best_variant.parameters}
            for result in search_results
        },
        "failed": failure_reasons,
    }
    if search_results:
        (report_folder / f"{experiment_spec.name}-best.toml").write_text(
            parameters_as_toml(search_results), encoding="utf-8"
        )
    picture = report_folder / f"{experiment_spec.name}.png"
    if summaries and plot_summaries(
        summaries, experiment_spec.name, f"{METRIC_NAMES[experiment_spec.metric]}@{experiment_spec.k}", picture
    ):
        run_record.detail["plot"] = str(picture)
    if failure_reasons:
        run_record.status = "incomplete"
    return text


def read_summaries(
    connection: Connection,
    experiment_spec: ExperimentSpec,
    evaluation_data: EvaluationData,
    planned_runs: list[PlannedRun],
) -> list[ModelSummary]:
    """Read the metrics and ranks of the planned runs that are done, and summarize them by model label."""
    versions = [planned_run.experiment_run.model_version for planned_run in planned_runs]
    ranks = records.read_target_ranks(connection, versions, evaluation_data.cases_hash)
    runs = records.read_runs(connection, versions).filter(pl.col("status") == "done")
    results = FinishedRuns(runs, records.read_metrics(connection, versions), ranks)
    labels = [variant.label for variant in experiment_spec.variants()]
    return summarize_models(
        results,
        evaluation_data.segment_masks,
        labels,
        experiment_spec.baseline,
        experiment_spec.metric,
        experiment_spec.k,
    )
