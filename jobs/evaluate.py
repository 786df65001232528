"""The evaluate job: measure each newest model on the hold-out, and let the best one recommend.

The choice looks at the validation part alone; the test part is for people to read.
"""

import numpy as np

from jobs.data import index_cases, index_items, read_catalog, read_sequences
from jobs.measure import measure, store_metrics
from jobs.models.store import ModelRow, drop_old_weights, latest, load_model
from jobs.progress import say
from jobs.settings import Settings
from jobs.split import cutoff_split, paper_split
from jobs.warehouse import Connection, JobRun, transaction


def evaluate(connection: Connection, settings: Settings, run: JobRun) -> None:
    """Measure models that have no test figures yet, then make the best of ``settings.models`` live."""
    models = {family: row for family, row in latest(connection).items() if family in settings.models}
    unmeasured = [row for row in models.values() if not _is_measured(connection, row)]
    run.rows_in = len(models)
    if unmeasured:
        _measure(connection, settings, unmeasured, run)
    run.detail["live"] = _promote(connection, settings, models)
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
    for row in rows:
        if settings.protocol == "paper":
            split, counted = paper_split(frame), frame["items"]
        else:
            assert row.data_cutoff_at is not None  # noqa: S101 - train always writes it
            split = cutoff_split(frame, row.data_cutoff_at, names.allow_repeats)
            counted = split.train["items"]
        cases = index_cases(split.test, catalog)
        counts = np.bincount(index_items(counted, catalog).items, minlength=len(catalog))
        trained = np.bincount(index_items(split.train["items"], catalog).items, minlength=len(catalog)) > 0
        warm = trained[cases.targets]
        segments = {} if warm.all() else {"warm_target": warm, "cold_target": ~warm}
        scorer = load_model(connection, row, settings).scorer(catalog)
        measured = measure(scorer, cases, catalog, counts, segments=segments, allow_repeats=names.allow_repeats)
        store_metrics(connection, row.model_version, f"{split.name}/test", measured)
        run.rows_out += 1
        run.detail[row.model_version] = len(cases.targets)


def _promote(connection: Connection, settings: Settings, models: dict[str, ModelRow]) -> str | None:
    """Make one model live: best validation value at 20; equal ones by the order of ``settings.models``."""
    values = dict(
        connection.execute(
            "select model_version, value from ml.model_metrics where ends_with(split, '/validation') "
            "and segment = 'all' and metric = ? and k = 20",
            [settings.selection_metric],
        ).fetchall()
    )
    candidates = [models[family] for family in settings.models if family in models]
    if not candidates:
        return None
    best = max(candidates, key=lambda row: values.get(row.model_version) or 0.0)
    if best.status != "live":
        say(f"the live model is now {best.model_version}")
    with transaction(connection):
        connection.execute(
            "update ml.models set status = 'retired' where status = 'live' and model_version <> ?",
            [best.model_version],
        )
        connection.execute("update ml.models set status = 'live' where model_version = ?", [best.model_version])
    return best.model_version
