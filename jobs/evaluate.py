"""The evaluate job: measure each newest model on the hold-out, and choose the one that recommends.

The choice (:mod:`jobs.champion`) looks at the validation part alone; the test part is for people to read.
"""

import numpy as np

from jobs.data import index_cases, index_items, read_catalog, read_sequences
from jobs.measure import hash_cases, measure, store_measured
from jobs.models.store import ModelRow, drop_old_weights, latest, load_model
from jobs.promotion import promote, unfit
from jobs.prompting.access import Access
from jobs.settings import Settings
from jobs.split import cutoff_split, paper_split
from jobs.warehouse import Connection, JobRun, transaction


def evaluate(connection: Connection, settings: Settings, run: JobRun) -> None:
    """Measure models that have no test figures yet, then decide which of ``settings.models`` is live."""
    newest = latest(connection)
    models = [newest[family] for family in settings.models if family in newest and not unfit(newest[family], settings)]
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
    names = settings.job_vars()
    frame = read_sequences(connection)
    catalog = read_catalog(connection, names.embedding.dimensions)
    access = Access(connection, settings)
    for row in rows:
        if settings.protocol == "paper":
            split = paper_split(frame)
        else:
            assert row.data_cutoff_at is not None  # noqa: S101 - train always writes it
            split = cutoff_split(frame, row.data_cutoff_at, names.allow_repeats)
        known = index_items(split.train["items"], catalog)
        counted = index_items(frame["items"], catalog) if settings.protocol == "paper" else known
        cases = index_cases(split.test, catalog)
        counts = np.bincount(counted.items, minlength=len(catalog))
        warm = np.isin(cases.targets, known.items)
        segments = {} if warm.all() else {"warm_target": warm, "cold_target": ~warm}
        scorer = load_model(access, row).scorer(catalog)
        measured = measure(scorer, cases, catalog, counts, segments=segments, allow_repeats=names.allow_repeats)
        with transaction(connection):
            store_measured(connection, row.model_version, f"{split.name}/test", hash_cases(split.test), measured)
        run.rows_out += 1
        run.detail[row.model_version] = len(cases.targets)
