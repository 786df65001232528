"""The rule that decides which model families are trained, and why. A family that needs no training is called fresh."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from jobs.dbt_vars import JobVars
from jobs.models.base import Model
from jobs.nightly.model_store import MODEL_FORMAT_VERSION, ModelRow
from jobs.settings import Settings
from jobs.warehouse.connection import Connection

CLOCK_TOLERANCE = timedelta(days=1)
"""A model whose time lies further in the future was made while the clock was wrong, so that its age is not known."""

SELECT_LEFT_BEHIND_MODELS = """
    -- A run trained a model in place of one that was too old, and was killed, or had no time left, before it trained
    -- the other families too. These are the models that it left behind: they were measured on other validation cases
    -- than its new model
    with trained_models as (
        select
            models.model_version, models.started_at, models.model_number, ranks.cases_hash,
            lag(models.finished_at) over (partition by models.model order by models.model_number)
                as predecessor_finished_at
        from ml.models as models
        left join ml.model_ranks as ranks
            on models.model_version = ranks.model_version and ends_with(ranks.split, '/validation')
    )
    select earlier.model_version
    from trained_models as earlier
    inner join trained_models as later
        on earlier.model_number < later.model_number and earlier.cases_hash <> later.cases_hash
    where
        later.predecessor_finished_at not between later.started_at - $max_age and later.started_at + $clock_tolerance
"""

SELECT_MODELS_MEASURED_ON_CASES = (
    "select model_version from ml.model_ranks where cases_hash = ? and ends_with(split, '/validation')"
)


class TrainingReason(Enum):
    """Why a family has to be trained; each value completes the sentence "The family ..."."""

    NO_MODEL = "has no model yet"
    TOO_OLD = "has a newest model that is older than retrain_after_days, or whose time lies in the future"
    LEFT_BEHIND = "was not retrained by a run, killed or out of time, that retrained another family because of its age"
    CONFIGURED_DIFFERENTLY = "has other parameters, settings or vars than its newest model"
    LEARNT_DELETED_EVENTS = "has a newest model that has learnt from events that were deleted"
    NO_WEIGHTS = "has a newest model whose weights are gone"
    DAMAGED_WEIGHTS = "has a newest model whose weights are damaged"
    OTHER_CASES = "was measured on other validation cases than the families that are trained because of their age"


def families_to_train(
    connection: Connection,
    newest_model_by_family: Mapping[str, ModelRow],
    recipe_fingerprints: Mapping[str, str],
    now: datetime,
    max_model_age: timedelta,
) -> dict[str, TrainingReason]:
    """Return the families that have to be trained, each with the reason; all other families are fresh.

    Parameters
    ----------
    newest_model_by_family : family -> ModelRow
        The newest model of each family that has one.
    recipe_fingerprints : family -> str
        The families to check, each with the recipe's fingerprint that a model trained now would have.
    max_model_age : timedelta
        The age at which a model has to be trained again.
    """
    learnt_deleted = {name for (name,) in connection.execute("select model_version from ml.models_due").fetchall()}
    ages = {"max_age": max_model_age, "clock_tolerance": CLOCK_TOLERANCE}
    left_behind = {name for (name,) in connection.execute(SELECT_LEFT_BEHIND_MODELS, ages).fetchall()}

    def reason_to_train(newest_model: ModelRow | None, recipe_fingerprint: str) -> TrainingReason | None:
        """Return why a family has to be trained, given its newest model; None if the family is fresh."""
        if newest_model is None:
            return TrainingReason.NO_MODEL
        checks = {
            TrainingReason.TOO_OLD: not now - max_model_age <= newest_model.finished_at <= now + CLOCK_TOLERANCE,
            TrainingReason.LEFT_BEHIND: newest_model.model_version in left_behind,
            TrainingReason.CONFIGURED_DIFFERENTLY: newest_model.recipe_fingerprint != recipe_fingerprint,
            TrainingReason.LEARNT_DELETED_EVENTS: newest_model.model_version in learnt_deleted,
            TrainingReason.NO_WEIGHTS: not newest_model.has_weights,
            TrainingReason.DAMAGED_WEIGHTS: newest_model.is_damaged,
        }
        return next((reason for reason, applies in checks.items() if applies), None)

    reasons = {
        family: reason_to_train(newest_model_by_family.get(family), recipe_fingerprint)
        for family, recipe_fingerprint in recipe_fingerprints.items()
    }
    return {family: reason for family, reason in reasons.items() if reason}


def families_to_train_on_same_cases(
    connection: Connection,
    newest_model_by_family: Mapping[str, ModelRow],
    reasons_to_train: Mapping[str, TrainingReason],
    cases_hash: str,
) -> dict[str, TrainingReason]:
    """Return further families to train, so that the newest models of all families are measured on the same cases.

    When a family is trained because of its age, the validation cases have changed with the history, and only models
    that were measured on the same cases can be compared (:mod:`jobs.nightly.champion`). A killed run may
    already have measured the newest model of a family on these cases; that family is not trained again.

    Parameters
    ----------
    newest_model_by_family : family -> ModelRow
        The newest model of each family.
    reasons_to_train : family -> TrainingReason
        The families that have to be trained anyway, as :func:`families_to_train` returns them.
    cases_hash : str
        The hash of the validation cases on which models trained now are measured.
    """
    if not {TrainingReason.TOO_OLD, TrainingReason.LEFT_BEHIND} & set(reasons_to_train.values()):
        return {}
    measured = models_measured_on(connection, cases_hash)
    return {
        family: TrainingReason.OTHER_CASES
        for family, row in newest_model_by_family.items()
        if family not in reasons_to_train and row.model_version not in measured
    }


def models_measured_on(connection: Connection, cases_hash: str) -> set[str]:
    """Return the model_versions of the models that were measured on these validation cases."""
    return {version for (version,) in connection.execute(SELECT_MODELS_MEASURED_ON_CASES, [cases_hash]).fetchall()}


def fingerprint_of_recipe(model: Model, settings: Settings, dbt_vars: JobVars) -> str:
    """Return a hash of a model's recipe: family, hyper-parameters, settings and vars; the data is no part of it."""
    recipe: dict[str, Any] = {
        "family": model.family,
        "parameters": model.parameters,
        "chosen_by_fit": model.parameters_to_choose,
        "schema_version": MODEL_FORMAT_VERSION,
        "sequences": [
            dbt_vars.sequence_scope,
            sorted(dbt_vars.sequence_event_types),
            dbt_vars.collapse_repeats,
            dbt_vars.allow_repeats,
            # the hash of a recipe from before this var stays as it is
            *([sorted(dbt_vars.target_event_types)] if dbt_vars.target_event_types else []),
        ],
        **settings.model_dump(
            mode="json", include={"seed", "protocol", "cutoff_at", "holdout_share", "validation_limit"}
        ),
        # the hash of a recipe from before this setting stays as it is
        **({"training_sequences": settings.training_sequences} if settings.training_sequences else {}),
    }
    if model.uses_embeddings:
        recipe["embedding"] = [dbt_vars.embedding_model, dbt_vars.chosen_embedding_model.dimensions]
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
