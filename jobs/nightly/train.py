"""The train job: fit every family that is no longer fresh, on history before the hold-out."""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version

import numpy as np

from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.evaluation.measure import hash_cases, measure, store_measured
from jobs.evaluation.protocols import split_history
from jobs.evaluation.splits import Split, validation_split
from jobs.families import Family
from jobs.language_models.services import Services
from jobs.models.base import FitContext, Model
from jobs.models.registry import make
from jobs.nightly.checkpoints import checkpoint_path, drop_checkpoints, drop_leftovers
from jobs.nightly.freshness import LEFT_BEHIND, fingerprint, measured_on
from jobs.nightly.model_store import SCHEMA_VERSION, latest, pack
from jobs.progress import say
from jobs.settings import Settings
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection, transaction
from jobs.warehouse.job_runs import JobRun
from jobs.warehouse.reading import index_cases, index_items, read_catalog, read_sequences


def train(connection: Connection, settings: Settings, run: JobRun) -> None:
    """Fit the families of ``settings.models`` whose newest model is too old, was made otherwise, is due, or lost.

    One that is too old takes the others with it: only models that were measured on the same cases can be compared
    (:mod:`jobs.nightly.champion`). Those that a killed run made of the same cases stay; those that it left on others
    are trained as if too old.
    """
    dbt_vars = settings.job_vars()
    known = latest(connection)
    age = timedelta(days=settings.retrain_after_days)
    oldest = now() - age
    services = Services(connection, settings)
    models = {family: configured(settings, family, services) for family in settings.models}
    recipes = {family: fingerprint(model, settings, dbt_vars) for family, model in models.items()}
    due = {name for (name,) in connection.execute("select model_version from ml.models_due").fetchall()}
    left_behind = {name for (name,) in connection.execute(LEFT_BEHIND, {"age": age}).fetchall()}
    outdated = {
        family for family in models
        if family in known and (known[family].finished_at < oldest or known[family].model_version in left_behind)
    }  # fmt: skip
    fresh = {
        family for family in models
        if family in known and known[family].fingerprint == recipes[family] and family not in outdated
        and known[family].model_version not in due and known[family].has_weights
    }  # fmt: skip
    run.detail = {"fresh": sorted(fresh), "trained": []}
    if len(fresh) == len(models):
        return
    frame = read_sequences(connection)
    run.rows_in = len(frame)
    split = split_history(frame, settings.protocol, settings)
    catalog = read_catalog(connection, dbt_vars.embedding.dimensions)
    data = TrainingData.of(split, catalog, settings.validation_limit, dbt_vars.allow_repeats) if split else None
    if data is None or not len(data.rest.items):
        # without a known item a model would be made of nothing, and stay until it is too old
        say("nothing to train on yet: too little history before the hold-out, or no item of it in the catalogue")
        run.detail["reason"] = "too little history"
        return
    if outdated:
        comparable = measured_on(connection, data.cases_hash)
        fresh = {family for family in fresh if known[family].model_version in comparable}
        run.detail["fresh"] = sorted(fresh)
    fitted: dict[str, Model] = {}
    refitted: dict[str, Model] = {}
    # a fusion comes last: what it is made of may have been fitted by then
    for family in sorted(models, key=lambda family: family == "fusion"):
        if family not in fresh:
            version_ = _fit(connection, models[family], recipes[family], settings, data, fitted, refitted)
            run.detail["trained"].append(version_)
            run.rows_out += 1


def configured(settings: Settings, family: Family, services: Services | None = None) -> Model:
    """Return an unfitted model with the parameters of the settings; a fusion's parts have theirs too."""
    own = settings.parameters.get(family, {})
    if family == "fusion":
        parts = make(family, own).parameters["parts"]
        given = {part: settings.parameters[part] for part in parts if part in settings.parameters}
        own = {**own, "parameters": {**given, **own.get("parameters", {})}}
    return make(family, own, services)


@dataclass(frozen=True)
class TrainingData:
    """One split's training part, as models take it: ``everything``, or ``rest`` and ``validation``."""

    split: Split
    catalog: Catalog
    everything: Sequences
    rest: Sequences
    validation: Cases
    cases_hash: str

    @classmethod
    def of(cls, split: Split, catalog: Catalog, validation_limit: int, allow_repeats: bool) -> "TrainingData":
        """Take the validation part away."""
        rest, held_out = validation_split(split.train, validation_limit, allow_repeats=allow_repeats)
        everything, rest_ = (index_items(part["items"], catalog) for part in (split.train, rest))
        return cls(split, catalog, everything, rest_, index_cases(held_out, catalog), hash_cases(held_out))


def _fit(
    connection: Connection, model: Model, recipe: str, settings: Settings, data: TrainingData,
    fitted: dict[str, Model], refitted: dict[str, Model],
) -> str:  # fmt: skip
    """Fit, measure on the validation part, fit again with it, and store: what is stored has learnt from all."""
    started_at = now()
    checkpoints = [
        checkpoint_path(settings.work_folder, recipe, part, data.catalog) for part in (data.rest, data.everything)
    ]
    drop_leftovers(checkpoints)
    allow_repeats = settings.job_vars().allow_repeats
    model.fit(
        data.rest, data.validation, data.catalog, FitContext(settings.seed, checkpoints[0], fitted, allow_repeats)
    )
    fitted[model.family] = model
    counts = np.bincount(data.rest.items, minlength=len(data.catalog))
    measured = measure(model.scorer(data.catalog), data.validation, data.catalog, counts, allow_repeats=allow_repeats)
    final = model.refit(
        data.everything, data.catalog, FitContext(settings.seed, checkpoints[1], refitted, allow_repeats)
    )
    refitted[model.family] = final
    weights = pack(final, data.catalog)
    model_version = f"{model.family}-{started_at:%Y%m%dT%H%M%S}-{recipe[:6]}"
    with transaction(connection):
        connection.execute(
            "insert into ml.models by name select $model_version as model_version, $model as model, "
            "$parameters as parameters, $fingerprint as fingerprint, $data_cutoff_at as data_cutoff_at, "
            "$training_rows as training_rows, $embedding_model as embedding_model, $seed as seed, "
            "$started_at as started_at, $finished_at as finished_at, 'candidate' as status, $weights as weights, "
            "$weights_sha256 as weights_sha256, $code_version as code_version, $schema_version as schema_version",
            {
                "model_version": model_version, "model": model.family, "parameters": json.dumps(model.parameters),
                "fingerprint": recipe, "data_cutoff_at": data.split.cutoff_at, "training_rows": len(data.everything),
                "embedding_model": settings.job_vars().embedding_model if model.uses_embeddings else None,
                "seed": settings.seed, "started_at": started_at, "finished_at": now(), "weights": weights,
                "weights_sha256": hashlib.sha256(weights).hexdigest(), "code_version": version("nextmart"),
                "schema_version": SCHEMA_VERSION,
            },
        )  # fmt: skip
        store_measured(connection, model_version, f"{data.split.name}/validation", data.cases_hash, measured)
    for path in checkpoints:
        drop_checkpoints(path)
    return model_version
