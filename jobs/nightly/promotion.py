"""Decisions about the live model, written to ``ml.champions`` in the transaction in which they take effect.

Each night the evaluate job decides (:func:`jobs.nightly.champion.choose_live_model`); people decide by pin, unpin and
rollback.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jobs.core.metrics import rank_values
from jobs.errors import NextmartError, UsageError
from jobs.nightly.champion import SELECTION_K, Decision, Entrant, Incumbent, choose_live_model
from jobs.nightly.model_store import PREVIOUS_LIVE, SCHEMA_VERSION, ModelRow, all_models, live_model
from jobs.progress import say
from jobs.settings import Settings
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection, transaction
from jobs.warehouse.job_runs import JobRun

LAST_DECISIONS = """
    -- The newest decision about each model
    select model_version, is_live, pinned, reason from ml.champions
    qualify row_number() over (partition by model_version order by changed_at desc) = 1
"""

VALIDATION_RANKS = """
    select cases_hash, target_ranks from ml.model_ranks
    where model_version = ? and ends_with(split, '/validation')
"""

LEARNT_DELETED_EVENTS = "select deleted_at from ml.models_due where model_version = ?"


def promote(connection: Connection, settings: Settings, models: Sequence[ModelRow]) -> str | None:
    """Choose the live model, record the reason, and return its ``model_version``; None if there is no model.

    Parameters
    ----------
    models : sequence of ModelRow
        The newest usable model of each family of ``settings.models``, in that order.
    """
    row = live_model(connection)
    incumbent = _incumbent(connection, settings, row) if row else None
    decisions = choose_live_model([_entrant(connection, settings, model) for model in models], incumbent)
    if not decisions:
        return None
    stays_pinned = incumbent is not None and incumbent.is_pinned and not incumbent.why_unusable
    if incumbent and incumbent.is_pinned and incumbent.why_unusable:
        say(f"the pin of {incumbent.entrant.model_version} is lifted: {incumbent.why_unusable}")
    _write_decisions(connection, decisions, pinned=stays_pinned)
    live = decisions[0]
    if row is None or row.model_version != live.model_version:
        say(f"the live model is now {live.model_version} ({live.reason})")
    elif stays_pinned:
        _warn_if_learnt_deleted_events(connection, live.model_version)
    return live.model_version


def pin(connection: Connection, settings: Settings, run_record: JobRun, model_version: str) -> None:
    """Make one model live until :func:`unpin`; nights still train other models, but do not make them live.

    Raises
    ------
    UsageError
        If there is no usable model of this name; the message lists the models that can be pinned.
    """
    row = next((row for row in all_models(connection) if row.model_version == model_version), None)
    if row is None:
        raise UsageError(f"there is no model '{model_version}'. {_pinnable_models(connection, settings)}")
    if why := why_unusable(row, settings):
        raise UsageError(f"model {model_version} can't be pinned: {why}. {_pinnable_models(connection, settings)}")
    _pin(connection, row, "live: pinned by hand", run_record)


def rollback(connection: Connection, settings: Settings, run_record: JobRun) -> None:
    """Make the previous live model live again, and pin it; a second rollback returns to the newer model.

    Raises
    ------
    NextmartError
        If no other model was live before, or that model is unusable.
    """
    row = live_model(connection)
    previous = connection.execute(PREVIOUS_LIVE).fetchone() if row else None
    if row is None or previous is None:
        raise NextmartError(
            f"there is nothing to roll back to: no other model was live. {_pinnable_models(connection, settings)}"
        )
    previous_model = next((model for model in all_models(connection) if model.model_version == previous[0]), None)
    if why := why_unusable(previous_model, settings) if previous_model else "it is gone from ml.models":
        raise NextmartError(f"can't roll back to {previous[0]}: {why}. {_pinnable_models(connection, settings)}")
    assert previous_model is not None  # noqa: S101 - an absent model has raised the error above
    _pin(connection, previous_model, f"live: rolled back to by hand, from {row.model}", run_record)


def unpin(connection: Connection, settings: Settings, run_record: JobRun) -> None:  # noqa: ARG001 - all jobs have these
    """Remove the pin: the live model stays live until a night chooses another.

    Raises
    ------
    NextmartError
        If no model is pinned.
    """
    row = live_model(connection)
    _, is_pinned = _last_decision(connection, row) if row else ("", False)
    if row is None or not is_pinned:
        raise NextmartError("no model is pinned")
    _write_decisions(
        connection, [Decision(row.model_version, row.model, True, "live: was pinned by hand")], pinned=False
    )
    run_record.detail = {
        "live": row.model_version,
        "says": f"{row.model_version} is live until a night chooses another",
    }


def why_unusable(row: ModelRow, settings: Settings) -> str | None:
    """Return why a model can't recommend, as a clause for messages; None if it can."""
    if not row.has_weights:
        return "its weights are gone"
    if row.schema_version != SCHEMA_VERSION:
        return "its weights are of another version of nextmart"
    if row.embedding_model not in (None, settings.job_vars().embedding_model):
        return f"it was made for the embeddings of {row.embedding_model}"
    return None


def _pin(connection: Connection, row: ModelRow, reason: str, run_record: JobRun) -> None:
    """Make a model live and pinned, and record why it is live and the earlier model is not."""
    before = live_model(connection)
    decisions = [Decision(row.model_version, row.model, True, reason)]
    if before and before.model_version != row.model_version:
        decisions.append(Decision(before.model_version, before.model, False, f"not live: {row.model} is pinned"))
    _write_decisions(connection, decisions, pinned=True)
    _warn_if_learnt_deleted_events(connection, row.model_version)
    run_record.detail = {
        "live": row.model_version,
        "before": before.model_version if before else None,
        "says": f"{row.model_version} is live and pinned; the next `nextmart run` recommends with it",
    }


def _incumbent(connection: Connection, settings: Settings, row: ModelRow) -> Incumbent:
    """Return the live model as an argument of the rule, with the reason why it can't stay live, if any."""
    reason, is_pinned = _last_decision(connection, row)
    why = why_unusable(row, settings)
    if not is_pinned and why is None:
        if row.model not in settings.models:
            why = f"{row.model} is none of the setting models"
        elif connection.execute(LEARNT_DELETED_EVENTS, [row.model_version]).fetchone():
            why = "it has learnt from events that were deleted"
    return Incumbent(_entrant(connection, settings, row), reason, is_pinned, why)


def _last_decision(connection: Connection, row: ModelRow) -> tuple[str, bool]:
    """Return the recorded reason why the live model is live, and whether the model is pinned."""
    decisions = {version: (reason, pinned) for version, _, pinned, reason in _last_decisions(connection)}
    return decisions.get(row.model_version, ("live: since before reasons were kept", False))


def _last_decisions(connection: Connection) -> list[tuple[Any, ...]]:
    """Return (model_version, is_live, pinned, reason) of the newest decision about each model."""
    return connection.execute(LAST_DECISIONS).fetchall()


def _entrant(connection: Connection, settings: Settings, row: ModelRow) -> Entrant:
    """Return a model as an argument of the rule, with its value of the selection metric on each validation case."""
    ranked = connection.execute(VALIDATION_RANKS, [row.model_version]).fetchone()
    if ranked is None:
        return Entrant(row.model_version, row.model)
    cases_hash, target_ranks = ranked
    values = rank_values(np.asarray(target_ranks), settings.selection_metric, SELECTION_K)
    return Entrant(row.model_version, row.model, cases_hash, values)


def _write_decisions(connection: Connection, decisions: Sequence[Decision], *, pinned: bool) -> None:
    """Make the first decision's model live, and insert the decisions that are new, in one transaction."""
    recorded = {version: tuple(rest) for version, *rest in _last_decisions(connection)}
    live, changed_at = decisions[0].model_version, now()
    with transaction(connection):
        connection.execute(
            "update ml.models set status = if(model_version = $live, 'live', 'retired') "
            "where (model_version = $live) <> (status = 'live')",
            {"live": live},
        )
        for decision in decisions:
            is_pinned = pinned and decision.is_live
            if recorded.get(decision.model_version) != (decision.is_live, is_pinned, decision.reason):
                connection.execute(
                    "insert into ml.champions by name select $changed_at as changed_at, "
                    "$model_version as model_version, $family as family, $is_live as is_live, $pinned as pinned, "
                    "$reason as reason, $compared_with as compared_with, $difference as difference, "
                    "$ci_low as ci_low, $ci_high as ci_high",
                    {"changed_at": changed_at, "pinned": is_pinned, **_champion_columns(decision)},
                )


def _champion_columns(decision: Decision) -> dict[str, Any]:
    """Return a decision as the columns of a row of ``ml.champions``."""
    difference = decision.comparison
    return {
        "model_version": decision.model_version,
        "family": decision.family,
        "is_live": decision.is_live,
        "reason": decision.reason,
        "compared_with": decision.compared_with,
        "difference": difference.mean if difference else None,
        "ci_low": difference.ci_low if difference else None,
        "ci_high": difference.ci_high if difference else None,
    }


def _warn_if_learnt_deleted_events(connection: Connection, model_version: str) -> None:
    """Tell people to unpin a model that has learnt from deleted events: a night does not replace a pinned model."""
    if due := connection.execute(LEARNT_DELETED_EVENTS, [model_version]).fetchone():
        say(f"the pinned model {model_version} has learnt from events deleted at {due[0]:%Y-%m-%d %H:%M} UTC: unpin it")


def _pinnable_models(connection: Connection, settings: Settings) -> str:
    """Return a sentence that lists the models that can be pinned."""
    usable = [row.model_version for row in all_models(connection) if not why_unusable(row, settings)]
    return f"Models that can be pinned, newest first: {', '.join(usable) or 'none; run `nextmart train`'}"
