"""The evaluate job: measure new models on the test part, and choose the live model.

The choice (:mod:`jobs.nightly.champion`) uses figures of the validation part only; figures of the test part are for
people to read.
"""

from jobs.evaluation.measure import hash_cases, measure, store_measured
from jobs.evaluation.protocols import index_split, split_history
from jobs.language_models.services import Services
from jobs.nightly.model_store import ModelRow, drop_old_weights, load_model, newest_models
from jobs.nightly.promotion import promote, why_unusable
from jobs.settings import Settings
from jobs.warehouse.connection import Connection, transaction
from jobs.warehouse.job_runs import JobRun
from jobs.warehouse.reading import read_catalog, read_sequences


def evaluate(connection: Connection, settings: Settings, run: JobRun) -> None:
    """Measure the models that have no test figures yet, then decide which of ``settings.models`` is live."""
    newest = newest_models(connection)
    usable = [
        newest[family] for family in settings.models if family in newest and not why_unusable(newest[family], settings)
    ]
    unmeasured = [row for row in usable if not _is_measured(connection, row)]
    run.rows_in = len(usable)
    if unmeasured:
        _measure_on_test(connection, settings, unmeasured, run)
    run.detail["live"] = promote(connection, settings, usable)
    drop_old_weights(connection, settings.models_kept)


def _is_measured(connection: Connection, row: ModelRow) -> bool:
    """Tell whether a model has test figures in ``ml.model_metrics``."""
    count = connection.execute(
        "select count(*) from ml.model_metrics where model_version = ? and ends_with(split, '/test')",
        [row.model_version],
    ).fetchone()
    return count != (0,)


def _measure_on_test(connection: Connection, settings: Settings, rows: list[ModelRow], run: JobRun) -> None:
    """Measure models on the test part, and commit the figures of each model when it is measured."""
    dbt_vars = settings.job_vars()
    history = read_sequences(connection)
    catalog = read_catalog(connection, dbt_vars.embedding.dimensions)
    services = Services(connection, settings)
    for row in rows:
        split = split_history(history, settings.protocol, settings, row.data_cutoff_at)
        if split is None:  # the history has been deleted since the model was trained
            continue
        indexed = index_split(split, history, catalog)
        warm = indexed.has_warm_target
        segments = {} if warm.all() else {"warm_target": warm, "cold_target": ~warm}
        scorer = load_model(services, row).scorer(catalog)
        measured = measure(
            scorer,
            indexed.cases,
            catalog,
            indexed.item_counts,
            segments=segments,
            allow_repeats=dbt_vars.allow_repeats,
        )
        with transaction(connection):
            store_measured(connection, row.model_version, f"{split.name}/test", hash_cases(split.test), measured)
        run.rows_out += 1
        run.detail[row.model_version] = len(indexed.cases.targets)
