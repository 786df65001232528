"""The evaluate job: measure new models on the test part, and choose the live model.

The choice (:mod:`jobs.nightly.champion`) uses only metrics of the validation cases; metrics of the test cases are for
people to read.
"""

from datetime import datetime

from jobs.evaluation.measure import measure_scorer, store_measurement
from jobs.language_models.paid_services import PaidServices
from jobs.nightly.holdout import read_holdout
from jobs.nightly.model_store import ModelRow, drop_old_weights, load_model
from jobs.nightly.promotion import newest_usable_models, promote
from jobs.settings import Settings
from jobs.warehouse.connection import Connection, transaction
from jobs.warehouse.job_runs import JobRun
from jobs.warehouse.reading import read_catalog


def evaluate(connection: Connection, settings: Settings, run_record: JobRun) -> None:
    """Measure the models without test metrics, then choose the live model from the families in ``settings.models``."""
    usable = newest_usable_models(connection, settings, run_record)
    unmeasured_models = [model_row for model_row in usable if not _has_test_metrics(connection, model_row)]
    run_record.rows_in = len(usable)
    if unmeasured_models:
        _measure_on_test_cases(connection, settings, unmeasured_models, run_record)
    run_record.detail["live"] = promote(connection, settings, usable)
    drop_old_weights(connection, settings.models_kept, settings.models)


def _has_test_metrics(connection: Connection, model_row: ModelRow) -> bool:
    """Tell whether ``ml.model_metrics`` has test metrics of a model."""
    count = connection.execute(
        "select count(*) from ml.model_metrics where model_version = ? and ends_with(split, '/test')",
        [model_row.model_version],
    ).fetchone()
    return count != (0,)


def _measure_on_test_cases(
    connection: Connection, settings: Settings, model_rows: list[ModelRow], run_record: JobRun
) -> None:
    """Measure models on the test cases, and commit the metrics of each model as soon as it is measured."""
    dbt_vars = settings.job_vars()
    catalog = read_catalog(connection, dbt_vars.chosen_embedding_model.dimensions)
    paid_services = PaidServices(connection, settings)
    # models with the same hold-out come one after another, so that no earlier hold-out stays in memory
    rows_by_data: dict[tuple[datetime | None, int | None], list[ModelRow]] = {}
    for model_row in model_rows:
        rows_by_data.setdefault((model_row.data_cutoff_at, model_row.training_sequences), []).append(model_row)
    for (data_cutoff_at, training_sequences), rows_of_data in rows_by_data.items():
        holdout = read_holdout(connection, settings, catalog, data_cutoff_at, training_sequences)
        if holdout is None:  # `nextmart forget` has deleted so much of the history that it can't be split any more
            continue
        indexed = holdout.indexed_split
        has_warm_target = indexed.has_warm_target
        segment_masks = (
            {} if has_warm_target.all() else {"warm_target": has_warm_target, "cold_target": ~has_warm_target}
        )
        for model_row in rows_of_data:
            scorer = load_model(paid_services, model_row).scorer(catalog)
            measured = measure_scorer(
                scorer,
                indexed.test_cases,
                catalog,
                indexed.item_counts,
                segment_masks=segment_masks,
                allow_repeats=dbt_vars.allow_repeats,
            )
            with transaction(connection):
                split_name = f"{holdout.protocol}/test"
                store_measurement(connection, model_row.model_version, split_name, holdout.cases_hash, measured)
            run_record.rows_out += 1
            run_record.detail[model_row.model_version] = len(indexed.test_cases.targets)
