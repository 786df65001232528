"""The evaluate job: measure each newest model on the hold-out, and choose the one that recommends.

The choice (:mod:`jobs.nightly.champion`) looks at the validation part alone; the test part is for people to read.
"""

import numpy as np

from jobs.evaluation.measure import hash_cases, measure, store_measured
from jobs.evaluation.protocols import counted_sequences, split_history
from jobs.language_models.services import Services
from jobs.nightly.model_store import ModelRow, drop_old_weights, latest, load_model
from jobs.nightly.promotion import promote, why_unusable
from jobs.settings import Settings
from jobs.warehouse.connection import Connection, transaction
from jobs.warehouse.job_runs import JobRun
from jobs.warehouse.reading import index_cases, index_items, read_catalog, read_sequences


def evaluate(connection: Connection, settings: Settings, run: JobRun) -> None:
    """Measure models that have no test figures yet, then decide which of ``settings.models`` is live."""
    newest = latest(connection)
    models = [
        newest[family] for family in settings.models if family in newest and not why_unusable(newest[family], settings)
    ]
    unmeasured = [row for row in models if not _is_measured(connection, row)]
    run.rows_in = len(models)
    if unmeasured:
        _measure(connection, settings, unmeasured, run)
    run.detail["live"] = promote(connection, settings, models)
    drop_old_weights(connection, settings.models_kept)


def _is_measured(connection: Connection, row: ModelRow) -> bool:
    found = connection.execute(
        "select count(*) from ml.model_metrics where model_version = ? and ends_with(split, '/test')",
        [row.model_version],
    ).fetchone()
    return bool(found and found[0])


def _measure(connection: Connection, settings: Settings, rows: list[ModelRow], run: JobRun) -> None:
    dbt_vars = settings.job_vars()
    frame = read_sequences(connection)
    catalog = read_catalog(connection, dbt_vars.embedding.dimensions)
    services = Services(connection, settings)
    for row in rows:
        split = split_history(frame, settings.protocol, settings, row.data_cutoff_at)
        if split is None:  # the history has been deleted since the model was trained
            continue
        known = index_items(split.train["items"], catalog)
        cases = index_cases(split.test, catalog)
        counts = np.bincount(counted_sequences(frame, split, catalog).items, minlength=len(catalog))
        warm = np.isin(cases.targets, known.items)
        segments = {} if warm.all() else {"warm_target": warm, "cold_target": ~warm}
        scorer = load_model(services, row).scorer(catalog)
        measured = measure(scorer, cases, catalog, counts, segments=segments, allow_repeats=dbt_vars.allow_repeats)
        with transaction(connection):
            store_measured(connection, row.model_version, f"{split.name}/test", hash_cases(split.test), measured)
        run.rows_out += 1
        run.detail[row.model_version] = len(cases.targets)
