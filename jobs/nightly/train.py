"""The train job: fit every model family that is due, on the history before the held-out test part."""

import hashlib
import json
from collections.abc import Collection
from datetime import datetime, timedelta
from importlib.metadata import version

import numpy as np

from jobs.evaluation.measure import CUT_OFFS, measure_lists, store_measurement
from jobs.families import Family
from jobs.language_models.paid_services import PaidServices
from jobs.models.base import FitOptions, Model
from jobs.models.fusion import Fusion
from jobs.models.registry import FAMILIES, make_model, require_valid_hyperparameter
from jobs.nightly.checkpoints import checkpoint_path, drop_checkpoints, drop_leftover_checkpoints
from jobs.nightly.expected_fit_times import ExpectedFitTimes
from jobs.nightly.freshness import (
    families_to_train,
    families_to_train_on_same_cases,
    fingerprint_of_recipe,
    models_measured_on,
)
from jobs.nightly.model_store import MODEL_FORMAT_VERSION, model_to_bytes, newest_model_by_family
from jobs.nightly.past_trainings import LeftOutFamilies, read_left_out_families, read_past_fits
from jobs.nightly.training_budget import TimeLimit, TrainingBudget
from jobs.nightly.training_data import TrainingData, read_training_data
from jobs.progress import say
from jobs.settings import Settings
from jobs.warehouse.clock import monotonic_seconds, now
from jobs.warehouse.connection import Connection, transaction
from jobs.warehouse.job_runs import JobRun
from jobs.warehouse.reading import newest_loaded_at


def train(connection: Connection, settings: Settings, run_record: JobRun) -> None:
    """Train each model family that is due, for one of the reasons in :class:`jobs.nightly.freshness.TrainingReason`.

    When a family is trained because of its age, the others are trained too, so that all are measured on the same
    validation cases (:func:`jobs.nightly.freshness.families_to_train_on_same_cases`). If the setting
    ``training_minutes`` is set, families for which it leaves no time are left out
    (:class:`jobs.nightly.training_budget.TrainingBudget`).
    """
    started_at = monotonic_seconds()
    dbt_vars = settings.job_vars()
    paid_services = PaidServices(connection, settings)
    models = {family: make_configured_model(settings, family, paid_services) for family in settings.models}
    recipe_fingerprints = {family: fingerprint_of_recipe(model, settings, dbt_vars) for family, model in models.items()}
    newest = {family: row for family, row in newest_model_by_family(connection).items() if family in models}
    max_age = timedelta(days=settings.retrain_after_days)
    due = families_to_train(connection, newest, recipe_fingerprints, now(), max_age)
    run_record.detail = {"fresh": sorted(models.keys() - due), "trained": []}
    if damaged := [row.model_version for row in newest.values() if row.is_damaged]:
        run_record.detail["damaged"] = damaged
        say(f"the weights of {', '.join(damaged)} are damaged: a new model is trained in their place")
    if not due:
        return
    for family in sorted(due):  # a missing package is said before other families are trained, which may take hours
        models[family].require_packages()
    left_out_before = read_left_out_families(connection) if settings.training_minutes else LeftOutFamilies()
    run_record.rows_in, data = _read_training_data(connection, settings, due.keys(), left_out_before)
    if data is None or not len(data.older_sequences.items):
        # a model fitted on no item could recommend nothing, but would count as fresh until it is too old
        say("nothing to train on yet: too little history before the hold-out, or no item of it in the catalogue")
        run_record.detail["reason"] = "too little history"
        return
    if settings.training_sequences:
        used = {"used": len(data.all_sequences), "available": data.available_sequences}
        run_record.detail["training_sequences"] = used
    budget = None
    if settings.training_minutes:
        past_fits, rows = read_past_fits(connection), len(data.all_sequences)
        fit_times = ExpectedFitTimes(models, recipe_fingerprints, past_fits, rows)
        budget = TrainingBudget(settings.training_minutes, started_at, models, fit_times)
    # a family that needs more time than the whole run has must not make the others due, night after night
    trainable = {family: reason for family, reason in due.items() if not budget or budget.can_train(family, {})}
    due = families_to_train_on_same_cases(connection, newest, trainable, data.cases_hash) | due
    run_record.detail["fresh"] = sorted(models.keys() - due)
    models_fitted_on_older_sequences: dict[str, Model] = {}
    models_fitted_on_all_sequences: dict[str, Model] = {}
    # a fusion is fitted last, because it can then reuse parts that were fitted before
    fusions_last = sorted(models, key=lambda family: isinstance(models[family], Fusion))
    without_budget = [family for family in fusions_last if family in due]
    for family in budget.order(without_budget, left_out_before.runs_in_a_row) if budget else without_budget:
        if budget and not budget.can_train(family, models_fitted_on_older_sequences):
            run_record.detail["data_cutoff_at"] = data.data_cutoff_at.isoformat()
            run_record.detail.setdefault("left_out", []).append(
                budget.left_out_entry(family, models_fitted_on_older_sequences, left_out_before.runs_in_a_row)
            )
            has_model = family in newest and newest[family].has_weights and not newest[family].is_damaged
            say(budget.why_left_out(family, models_fitted_on_older_sequences, has_model=has_model))
            continue
        may_be_cut_short = budget and budget.may_be_cut_short(family, models_fitted_on_older_sequences)
        time_limit = budget.time_limit() if budget and may_be_cut_short else None
        model_version = _fit_and_store(
            connection,
            models[family],
            recipe_fingerprints[family],
            settings,
            data,
            models_fitted_on_older_sequences,
            models_fitted_on_all_sequences,
            time_limit,
        )
        run_record.detail["trained"].append(model_version)
        run_record.rows_out += 1
        if time_limit and time_limit.has_cut_a_fit:
            run_record.detail.setdefault("cut_short", []).append(model_version)
            say(f"the training of {model_version} was cut short: more training_minutes may make a better model")


def _read_training_data(
    connection: Connection, settings: Settings, due_families: Collection[str], left_out_before: LeftOutFamilies
) -> tuple[int, TrainingData | None]:
    """Read the history; cut it where the last run did, if only families are due that it left out.

    So these families are measured on the same validation cases as those that the last run trained. If late events or a
    deletion have changed the cases, the history is cut as always.
    """
    if left_out_before.data_cutoff_at and set(due_families) <= left_out_before.runs_in_a_row.keys():
        row_count, data = read_training_data(connection, settings, left_out_before.data_cutoff_at)
        if data and models_measured_on(connection, data.cases_hash):
            return row_count, data
    return read_training_data(connection, settings)


def make_configured_model(settings: Settings, family: Family, paid_services: PaidServices | None = None) -> Model:
    """Return an unfitted model with its parameters from the settings.

    A part of a fusion has its family's parameters of the settings, except those that the fusion itself gives the part.
    """
    parameters = settings.parameters.get(family, {})
    if issubclass(FAMILIES[family], Fusion):
        own = parameters.get("parameters", {})
        require_valid_hyperparameter(family, "parameters", own)
        parts = make_model(family, {**parameters, "parameters": {}}).parameters["parts"]
        of_parts = {part: settings.parameters[part] for part in parts if part in settings.parameters}
        for part, given in own.items():  # what is no table is left for make_model to refuse
            of_parts[part] = {**of_parts.get(part, {}), **given} if isinstance(given, dict) else given
        parameters = {**parameters, "parameters": of_parts}
    return make_model(family, parameters, paid_services)


def _fit_and_store(
    connection: Connection,
    model: Model,
    recipe_fingerprint: str,
    settings: Settings,
    training_data: TrainingData,
    models_fitted_on_older_sequences: dict[str, Model],
    models_fitted_on_all_sequences: dict[str, Model],
    time_limit: TimeLimit | None,
) -> str:
    """Fit a model, measure it on the validation cases, refit it on all sequences, store it; return its model_version.

    Parameters
    ----------
    recipe_fingerprint : str
        The hash of all that determines the model except the data, as
        :func:`jobs.nightly.freshness.fingerprint_of_recipe` returns it.
    models_fitted_on_older_sequences, models_fitted_on_all_sequences : family -> Model
        Models of other families that this job has fitted on the older sequences and on all sequences; a fusion may
        reuse them. The new model is added to both.
    time_limit : TimeLimit or None
        Cuts the first fit short. The refit trains for the epoch that was best in it, so takes about as long.
    """
    started_at = now()
    checkpoints = [
        checkpoint_path(settings.work_folder, recipe_fingerprint, part, training_data.catalog)
        for part in (training_data.older_sequences, training_data.all_sequences)
    ]
    drop_leftover_checkpoints(checkpoints)
    allow_repeats = settings.job_vars().allow_repeats
    first_context = FitOptions(
        settings.seed, checkpoints[0], models_fitted_on_older_sequences, allow_repeats, time_limit
    )
    model.fit(training_data.older_sequences, training_data.validation_cases, training_data.catalog, first_context)
    models_fitted_on_older_sequences[model.family] = model
    counts = np.bincount(training_data.older_sequences.items, minlength=len(training_data.catalog))
    lists, fault_rates = model.rank_validation_cases(
        training_data.validation_cases, max(CUT_OFFS), training_data.catalog, allow_repeats
    )
    measured = measure_lists(
        lists, training_data.validation_cases, training_data.catalog, counts, answer_fault_rates=fault_rates
    )
    second_context = FitOptions(settings.seed, checkpoints[1], models_fitted_on_all_sequences, allow_repeats)
    final = model.refit(training_data.all_sequences, training_data.catalog, second_context)
    models_fitted_on_all_sequences[model.family] = final
    weights = model_to_bytes(final, training_data.catalog)
    model_version = _unused_model_version(connection, model.family, started_at, recipe_fingerprint)
    row = {
        "model_version": model_version,
        "model": model.family,
        "parameters": json.dumps(final.parameters_in_use),
        "fingerprint": recipe_fingerprint,
        "data_cutoff_at": training_data.data_cutoff_at,
        "training_rows": len(training_data.all_sequences),
        "embedding_model": settings.job_vars().embedding_model if model.uses_embeddings else None,
        "seed": settings.seed,
        "started_at": started_at,
        "finished_at": now(),
        "status": "candidate",
        "weights": weights,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "code_version": version("nextmart"),
        "schema_version": MODEL_FORMAT_VERSION,
        "newest_loaded_at": newest_loaded_at(connection),
        "training_sequences": settings.training_sequences,
    }
    with transaction(connection):
        columns = ", ".join(f"${column} as {column}" for column in row)
        connection.execute(
            f"insert into ml.models by name select {columns}, coalesce(max(model_number), 0) + 1 as model_number "  # noqa: S608
            "from ml.models",
            row,
        )
        split_name = f"{training_data.protocol}/validation"
        store_measurement(
            connection, model_version, split_name, training_data.cases_hash, measured, training_data.target_times
        )
    for path in checkpoints:
        drop_checkpoints(path)
    return model_version


def _unused_model_version(connection: Connection, family: str, started_at: datetime, recipe_fingerprint: str) -> str:
    """Return the name of a new model: its family, the time in UTC, and the beginning of its recipe's fingerprint.

    The time is that of the fit's start, or a later second if a model has this name already, because a clock was wrong.
    """
    while True:
        model_version = f"{family}-{started_at:%Y%m%dT%H%M%S}-{recipe_fingerprint[:6]}"
        if not connection.execute("select 1 from ml.models where model_version = ?", [model_version]).fetchone():
            return model_version
        started_at += timedelta(seconds=1)
