"""The train job: fit every family that is no longer fresh, on history before the hold-out."""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from jobs.data import index_cases, index_items, read_catalog, read_sequences
from jobs.measure import hash_cases, measure, store_measured
from jobs.models.base import Cases, Catalog, Fitting, Model
from jobs.models.registry import make
from jobs.models.store import SCHEMA_VERSION, latest, pack
from jobs.progress import say
from jobs.prompting.access import Access
from jobs.sequences import Sequences
from jobs.settings import Family, Settings, Vars
from jobs.split import Split, cutoff_split, holdout_cutoff, paper_split, validation_split
from jobs.warehouse import Connection, JobRun, now, transaction

LEFT_BEHIND = """
    -- models on other cases than a later one that took the place of one too old: a killed run didn't get to them
    with made as (
        select
            models.model_version, models.started_at, models.finished_at, ranks.cases_hash,
            lag(models.finished_at) over (partition by models.model order by models.finished_at) as before_at
        from ml.models as models
        left join ml.model_ranks as ranks
            on models.model_version = ranks.model_version and ends_with(ranks.split, '/validation')
    )
    select earlier.model_version
    from made as earlier
    inner join made as later
        on earlier.finished_at <= later.started_at and earlier.cases_hash <> later.cases_hash
    where later.before_at < later.started_at - $age
"""


def train(connection: Connection, settings: Settings, run: JobRun) -> None:
    """Fit the families of ``settings.models`` whose newest model is too old, was made otherwise, is due, or lost.

    One that is too old takes the others with it: only models that were measured on the same cases can be compared
    (:func:`jobs.champion.decide`). Those that a killed run made of the same cases stay; those that it left on others
    are trained as if too old.
    """
    names = settings.job_vars()
    known = latest(connection)
    age = timedelta(days=settings.retrain_after_days)
    oldest = now() - age
    models = {family: configured(settings, family) for family in settings.models}
    access = Access(connection, settings)
    for model in models.values():
        model.connect(access)
    recipes = {family: fingerprint(model, settings, names) for family, model in models.items()}
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
    split = split_history(frame, settings, names)
    catalog = read_catalog(connection, names.embedding.dimensions)
    data = TrainingData.of(split, catalog, settings.validation_limit, names.allow_repeats) if split else None
    if data is None or not len(data.rest.items):
        # without a known item a model would be made of nothing, and stay until it is too old
        say("nothing to train on yet: too little history before the hold-out, or no item of it in the catalogue")
        run.detail["reason"] = "too little history"
        return
    if outdated:
        comparable = _measured_on(connection, data.cases_hash)
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


def _measured_on(connection: Connection, cases_hash: str) -> set[str]:
    """Return the model_versions that were measured on these validation cases."""
    query = "select model_version from ml.model_ranks where cases_hash = ? and ends_with(split, '/validation')"
    return {version for (version,) in connection.execute(query, [cases_hash]).fetchall()}


def split_history(frame: pl.DataFrame, settings: Settings, names: Vars) -> Split | None:
    """Divide the history by the protocol that the settings name; None where there is too little of it."""
    try:
        if settings.protocol == "paper":
            split = paper_split(frame)
        else:
            cutoff_at = settings.cutoff_at or holdout_cutoff(frame, settings.holdout_share)
            split = cutoff_split(frame, cutoff_at, names.allow_repeats)
    except ValueError:
        if settings.protocol == "paper":
            is_too_little = len(frame) < 2
        else:
            is_too_little = settings.cutoff_at is None and frame["event_times"].explode().n_unique() < 2
        if is_too_little:
            return None
        raise
    return split if len(split.train) else None


def fingerprint(model: Model, settings: Settings, names: Vars) -> str:
    """Return a hash of all that makes a model what it is, but the data: while it stays, a model can be fresh."""
    recipe: dict[str, Any] = {
        "family": model.family,
        "parameters": model.parameters,
        "schema_version": SCHEMA_VERSION,
        "sequences": [
            names.sequence_scope,
            sorted(names.sequence_event_types),
            names.collapse_repeats,
            names.allow_repeats,
        ],
        **settings.model_dump(
            mode="json", include={"seed", "protocol", "cutoff_at", "holdout_share", "validation_limit"}
        ),
    }
    if model.uses_embeddings:
        recipe["embedding"] = [names.embedding_model, names.embedding.dimensions]
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def configured(settings: Settings, family: Family) -> Model:
    """Return an unfitted model with the parameters of the settings; a fusion's parts have theirs too."""
    own = settings.parameters.get(family, {})
    if family == "fusion":
        parts = make(family, own).parameters["parts"]
        given = {part: settings.parameters[part] for part in parts if part in settings.parameters}
        own = {**own, "parameters": {**given, **own.get("parameters", {})}}
    return make(family, own)


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
        _checkpoint(settings.work_folder, recipe, part, data.catalog) for part in (data.rest, data.everything)
    ]
    _drop_leftovers(checkpoints)
    allow_repeats = settings.job_vars().allow_repeats
    model.fit(data.rest, data.validation, data.catalog, Fitting(settings.seed, checkpoints[0], fitted, allow_repeats))
    fitted[model.family] = model
    counts = np.bincount(data.rest.items, minlength=len(data.catalog))
    measured = measure(model.scorer(data.catalog), data.validation, data.catalog, counts, allow_repeats=allow_repeats)
    final = model.refit(data.everything, data.catalog, Fitting(settings.seed, checkpoints[1], refitted, allow_repeats))
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


def drop_checkpoints(path: Path) -> None:
    """Delete a checkpoint and those of parts and second fits, whose names begin with its own."""
    for made in path.parent.glob(f"{path.stem}*"):
        made.unlink()


def _drop_leftovers(checkpoints: list[Path]) -> None:
    """Delete what killed fits by the recipe of ``checkpoints`` left of other data: nothing goes on from it."""
    stems = tuple(path.stem for path in checkpoints)
    recipe, _ = stems[0].split("-")
    for made in checkpoints[0].parent.glob(f"{recipe}-*"):
        if not made.name.startswith(stems):
            made.unlink()


def _checkpoint(folder: Path, recipe: str, sequences: Sequences, catalog: Catalog) -> Path:
    # a checkpoint is only good for the very data that it was made from
    data = hashlib.sha256()
    for part in (sequences.items, sequences.offsets, catalog.embeddings):
        data.update(np.ascontiguousarray(part).tobytes())
    data.update("\0".join(catalog.item_ids).encode())
    return folder / "checkpoints" / f"{recipe[:16]}-{data.hexdigest()[:16]}.safetensors"
