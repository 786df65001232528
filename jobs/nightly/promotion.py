"""Decisions about the live model, written to ``ml.champions`` in the transaction in which they take effect.

Each night the evaluate job decides (:func:`jobs.nightly.champion.choose_live_model`); people decide with the
commands pin, unpin and rollback.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jobs.core.arrays import Doubles
from jobs.core.metrics import case_values_from_ranks
from jobs.errors import NextmartError, UsageError
from jobs.evaluation.interim_looks import CaseValuesAtLook
from jobs.families import Family
from jobs.nightly.champion import SELECTION_K, Decision, Entrant, Incumbent, choose_live_model
from jobs.nightly.model_store import (
    MODEL_FORMAT_VERSION,
    PREVIOUS_LIVE,
    ModelRow,
    all_models,
    live_model,
    newest_intact_models,
    newest_model_by_family,
    with_weights_checked,
)
from jobs.progress import say
from jobs.settings import Settings
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection, max_number, transaction
from jobs.warehouse.job_runs import JobRun

SELECT_LAST_DECISIONS = """
    -- The newest decision about each model
    select model_version, is_live, pinned, reason from ml.champions
    qualify row_number() over (
        partition by model_version order by decision_number desc nulls last, changed_at desc
    ) = 1
"""

SELECT_VALIDATION_RANKS = """
    select cases_hash, target_ranks, new_cases from ml.model_ranks
    where model_version = ? and ends_with(split, '/validation')
"""

SELECT_EARLIER_RANKS = """
    -- Ranks of the earlier models that differ from this one only in the data they were fitted on, oldest first. Of
    -- models measured on the same cases, only the newest counts. Models without `new_cases` are left out: nobody knows
    -- which of their cases earlier models were measured on too
    select ranks.cases_hash, ranks.target_ranks, ranks.new_cases
    from ml.model_ranks as ranks
    inner join ml.models as models on ranks.model_version = models.model_version
    where
        models.fingerprint = $fingerprint and ends_with(ranks.split, '/validation') and ranks.new_cases is not null
        and ranks.cases_hash <> $cases_hash
        and models.model_number < (
            select model_number from ml.models where model_version = $model_version
        )
    qualify row_number() over (partition by ranks.cases_hash order by models.model_number desc) = 1
    order by models.model_number
"""

SELECT_DELETION_TIME = "select deleted_at from ml.models_due where model_version = ?"


def newest_usable_models(connection: Connection, settings: Settings, run_record: JobRun) -> list[ModelRow]:
    """Return the newest usable model of each family of ``settings.models``, in that order.

    If the weights of a model are damaged, the next older model of its family is taken. The run's detail names the
    damaged models.
    """
    newest, damaged = newest_intact_models(connection)
    if damaged:
        run_record.detail["damaged"] = damaged
    return [
        newest[family] for family in settings.models if family in newest and not why_unusable(newest[family], settings)
    ]


def why_no_usable_model(connection: Connection, settings: Settings, family: Family) -> str:
    """Return why :func:`newest_usable_models` has no model of a family of ``settings.models``, for messages."""
    newest = newest_model_by_family(connection).get(family)
    if newest is None:
        return "no model of it is trained yet"
    return f"its newest model is {newest.model_version}, but {why_unusable(newest, settings)}"


def promote(connection: Connection, settings: Settings, newest_usable_models: Sequence[ModelRow]) -> str | None:
    """Choose the live model, record the reason, and return its ``model_version``; None if there is no model.

    Parameters
    ----------
    newest_usable_models : sequence of ModelRow
        The newest usable model of each family of ``settings.models``, in that order.
    """
    model_row = live_model(connection)
    incumbent = _read_incumbent(connection, settings, model_row) if model_row else None
    decisions = choose_live_model(
        [_read_entrant(connection, settings, model) for model in newest_usable_models], incumbent
    )
    if not decisions:
        return None
    stays_pinned = incumbent is not None and incumbent.is_pinned and not incumbent.why_unusable
    if incumbent and incumbent.is_pinned and incumbent.why_unusable:
        say(f"the pin of {incumbent.entrant.model_version} is lifted: {incumbent.why_unusable}")
    _apply_and_record_decisions(connection, decisions, is_live_pinned=stays_pinned)
    live = decisions[0]
    if model_row is None or model_row.model_version != live.model_version:
        if incumbent and not incumbent.is_pinned and incumbent.why_unusable:
            say(f"{incumbent.entrant.model_version} can't stay live: {incumbent.why_unusable}")
        say(f"the live model is now {live.model_version} ({live.reason})")
    elif stays_pinned:
        _warn_if_learnt_deleted_events(connection, live.model_version)
    return live.model_version


def pin(connection: Connection, settings: Settings, run_record: JobRun, model_version: str) -> None:
    """Make one model live until :func:`unpin`; the train job still trains other models, but none of them becomes live.

    Raises
    ------
    UsageError
        If there is no usable model of this name; the message lists the models that can be pinned.
    """
    model_row = next(
        (model_row for model_row in all_models(connection) if model_row.model_version == model_version), None
    )
    if model_row is None:
        raise UsageError(f"there is no model '{model_version}'. {_pinnable_models_text(connection, settings)}")
    if why := why_unusable(with_weights_checked(connection, model_row), settings):
        raise UsageError(f"model {model_version} can't be pinned: {why}. {_pinnable_models_text(connection, settings)}")
    _make_live_and_pinned(connection, model_row, "live: pinned by hand", run_record)


def rollback(connection: Connection, settings: Settings, run_record: JobRun) -> None:
    """Make the previous live model live again, and pin it; a second rollback returns to the newer model.

    Raises
    ------
    NextmartError
        If no other model was live before, or that model is unusable.
    """
    model_row = live_model(connection)
    previous = connection.execute(PREVIOUS_LIVE).fetchone() if model_row else None
    if model_row is None or previous is None:
        raise NextmartError(
            f"there is nothing to roll back to: no other model was live. {_pinnable_models_text(connection, settings)}"
        )
    previous_model = next(
        (
            with_weights_checked(connection, model)
            for model in all_models(connection)
            if model.model_version == previous[0]
        ),
        None,
    )
    if why := why_unusable(previous_model, settings) if previous_model else "it is gone from ml.models":
        raise NextmartError(f"can't roll back to {previous[0]}: {why}. {_pinnable_models_text(connection, settings)}")
    assert previous_model is not None  # noqa: S101 - an absent model has raised the error above
    _make_live_and_pinned(
        connection, previous_model, f"live: rolled back to by hand, from {model_row.family}", run_record
    )


def unpin(connection: Connection, settings: Settings, run_record: JobRun) -> None:  # noqa: ARG001 - all jobs have these
    """Remove the pin: the live model stays live until the evaluate job chooses another.

    Raises
    ------
    NextmartError
        If no model is pinned.
    """
    model_row = live_model(connection)
    _, is_pinned = _read_last_decision(connection, model_row) if model_row else ("", False)
    if model_row is None or not is_pinned:
        raise NextmartError("no model is pinned")
    _apply_and_record_decisions(
        connection,
        [Decision(model_row.model_version, model_row.family, True, "live: was pinned by hand")],
        is_live_pinned=False,
    )
    run_record.detail = {
        "live": model_row.model_version,
        "says": f"{model_row.model_version} is live until a night chooses another",
    }


def why_unusable(model_row: ModelRow, settings: Settings) -> str | None:
    """Return why a model can't make recommendations, as a clause for messages; None if it can."""
    if not model_row.has_weights:
        return "its weights are gone"
    if model_row.is_damaged:
        return "its weights are damaged"
    if model_row.format_version != MODEL_FORMAT_VERSION:
        return "its weights are of another version of nextmart"
    if model_row.embedding_model not in (None, settings.job_vars().embedding_model):
        return f"it was made for the embeddings of {model_row.embedding_model}"
    return None


def _make_live_and_pinned(connection: Connection, model_row: ModelRow, reason: str, run_record: JobRun) -> None:
    """Make a model live and pinned; record why it is live, and why the previous live model no longer is."""
    before = live_model(connection)
    decisions = [Decision(model_row.model_version, model_row.family, True, reason)]
    if before and before.model_version != model_row.model_version:
        decisions.append(
            Decision(before.model_version, before.family, False, f"not live: {model_row.family} is pinned")
        )
    _apply_and_record_decisions(connection, decisions, is_live_pinned=True)
    _warn_if_learnt_deleted_events(connection, model_row.model_version)
    run_record.detail = {
        "live": model_row.model_version,
        "before": before.model_version if before else None,
        "says": f"{model_row.model_version} is live and pinned; the next `nextmart run` recommends with it",
    }


def _read_incumbent(connection: Connection, settings: Settings, model_row: ModelRow) -> Incumbent:
    """Return the live model as the :class:`Incumbent`; if it can't stay live, ``why_unusable`` says why."""
    reason, is_pinned = _read_last_decision(connection, model_row)
    why = why_unusable(model_row, settings)
    if not is_pinned and why is None:
        if model_row.family not in settings.models:
            why = f"{model_row.family} is none of the setting models"
        elif connection.execute(SELECT_DELETION_TIME, [model_row.model_version]).fetchone():
            why = "it has learnt from events that were deleted"
    return Incumbent(_read_entrant(connection, settings, model_row), reason, is_pinned, why)


def _read_last_decision(connection: Connection, model_row: ModelRow) -> tuple[str, bool]:
    """Return the recorded reason why the live model is live, and whether the model is pinned."""
    decisions = {version: (reason, pinned) for version, _, pinned, reason in _read_last_decisions(connection)}
    return decisions.get(model_row.model_version, ("live: since before reasons were kept", False))


def _read_last_decisions(connection: Connection) -> list[tuple[Any, ...]]:
    """Return (model_version, is_live, pinned, reason) of the newest decision about each model."""
    return connection.execute(SELECT_LAST_DECISIONS).fetchall()


def _read_entrant(connection: Connection, settings: Settings, model_row: ModelRow) -> Entrant:
    """Return a model as an :class:`Entrant`: its values of the metric, and those of earlier models of its recipe."""
    ranked = connection.execute(SELECT_VALIDATION_RANKS, [model_row.model_version]).fetchone()
    if ranked is None:
        return Entrant(model_row.model_version, model_row.family)
    cases_hash, target_ranks, new_cases = ranked
    earlier_ranks = connection.execute(
        SELECT_EARLIER_RANKS,
        {
            "fingerprint": model_row.recipe_fingerprint,
            "cases_hash": cases_hash,
            "model_version": model_row.model_version,
        },
    ).fetchall()

    def case_values(ranks: list[int]) -> Doubles:
        return case_values_from_ranks(np.asarray(ranks), settings.selection_metric, SELECTION_K)

    return Entrant(
        model_row.model_version,
        model_row.family,
        cases_hash,
        case_values(target_ranks),
        [
            CaseValuesAtLook(earlier_hash, case_values(ranks), np.asarray(is_new))
            for earlier_hash, ranks, is_new in earlier_ranks
        ],
        None if new_cases is None else np.asarray(new_cases),
    )


def _apply_and_record_decisions(connection: Connection, decisions: Sequence[Decision], *, is_live_pinned: bool) -> None:
    """Make the first decision's model live, and record each decision that differs from its model's last recorded one.

    Both happen in one transaction.
    """
    recorded = {version: tuple(rest) for version, *rest in _read_last_decisions(connection)}
    live, changed_at = decisions[0].model_version, now()
    with transaction(connection):
        decision_number = max_number(connection, "ml.champions", "decision_number") + 1
        connection.execute(
            "update ml.models set status = if(model_version = $live, 'live', 'retired') "
            "where (model_version = $live) <> (status = 'live')",
            {"live": live},
        )
        for decision in decisions:
            is_pinned = is_live_pinned and decision.is_live
            if recorded.get(decision.model_version) != (decision.is_live, is_pinned, decision.reason):
                connection.execute(
                    "insert into ml.champions by name select $changed_at as changed_at, "
                    "$model_version as model_version, $family as family, $is_live as is_live, $pinned as pinned, "
                    "$reason as reason, $compared_with as compared_with, $difference as difference, "
                    "$ci_low as ci_low, $ci_high as ci_high, $decision_number as decision_number",
                    {
                        "changed_at": changed_at,
                        "pinned": is_pinned,
                        "decision_number": decision_number,
                        **_champions_column_values(decision),
                    },
                )


def _champions_column_values(decision: Decision) -> dict[str, Any]:
    """Return the values that a decision writes to ``ml.champions``, by column name."""
    difference = decision.comparison
    return {
        "model_version": decision.model_version,
        "family": decision.family,
        "is_live": decision.is_live,
        "reason": decision.reason,
        "compared_with": decision.opponent_version,
        "difference": difference.mean if difference else None,
        "ci_low": difference.ci_low if difference else None,
        "ci_high": difference.ci_high if difference else None,
    }


def _warn_if_learnt_deleted_events(connection: Connection, model_version: str) -> None:
    """Tell the user to unpin a model that learnt from deleted events, because no job replaces a pinned model."""
    if due := connection.execute(SELECT_DELETION_TIME, [model_version]).fetchone():
        say(f"the pinned model {model_version} has learnt from events deleted at {due[0]:%Y-%m-%d %H:%M} UTC: unpin it")


def _pinnable_models_text(connection: Connection, settings: Settings) -> str:
    """Return a sentence that lists the models that can be pinned."""
    usable = [model_row.model_version for model_row in all_models(connection) if not why_unusable(model_row, settings)]
    return f"Models that can be pinned, newest first: {', '.join(usable) or 'none; run `nextmart train`'}"
