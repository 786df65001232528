"""Which model is live, in the warehouse: every decision is written to ``ml.champions`` as it takes effect.

Decisions are those of :func:`jobs.nightly.champion.decide`, night by night, and people's: pin, unpin, roll back.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jobs.core.metrics import rank_values
from jobs.errors import NextmartError, UsageError
from jobs.nightly.champion import SELECTION_K, Entrant, Incumbent, Verdict, decide
from jobs.nightly.model_store import PREVIOUS, SCHEMA_VERSION, ModelRow, live, stored
from jobs.progress import say
from jobs.settings import Settings
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection, transaction
from jobs.warehouse.job_runs import JobRun

NEWEST = """
    -- what is known of each model: its newest row
    select model_version, is_live, pinned, reason from ml.champions
    qualify row_number() over (partition by model_version order by changed_at desc) = 1
"""

RANKS = """
    select cases_hash, target_ranks from ml.model_ranks
    where model_version = ? and ends_with(split, '/validation')
"""

DUE = "select deleted_at from ml.models_due where model_version = ?"


def promote(connection: Connection, settings: Settings, models: Sequence[ModelRow]) -> str | None:
    """Decide which model is live now, write down why, and return its model_version, if there is one.

    Parameters
    ----------
    models : sequence of ModelRow
        The newest model of each family that is set, in the order of ``settings.models``, none of them unfit.
    """
    row = live(connection)
    incumbent = _incumbent(connection, settings, row) if row else None
    verdicts = decide([_entrant(connection, settings, model) for model in models], incumbent)
    if not verdicts:
        return None
    stays_pinned = incumbent is not None and incumbent.is_pinned and not incumbent.why_unusable
    if incumbent and incumbent.is_pinned and incumbent.why_unusable:
        say(f"the pin of {incumbent.entrant.model_version} is lifted: {incumbent.why_unusable}")
    _record(connection, verdicts, pinned=stays_pinned)
    chosen = verdicts[0]
    if row is None or row.model_version != chosen.model_version:
        say(f"the live model is now {chosen.model_version} ({chosen.reason})")
    elif stays_pinned:
        _warn_if_due(connection, chosen.model_version)
    return chosen.model_version


def pin(connection: Connection, settings: Settings, run: JobRun, model_version: str) -> None:
    """Make one model live until :func:`unpin`; nights go on training others, and leave it live.

    Raises
    ------
    UsageError
        If there is no such model with weights that can serve; names those that there are.
    """
    row = next((row for row in stored(connection) if row.model_version == model_version), None)
    if row is None:
        raise UsageError(f"there is no model '{model_version}'. {_choices(connection, settings)}")
    if why := why_unusable(row, settings):
        raise UsageError(f"model {model_version} can't be pinned: {why}. {_choices(connection, settings)}")
    _pin(connection, row, "live: pinned by hand", run)


def rollback(connection: Connection, settings: Settings, run: JobRun) -> None:
    """Make the model live that was so before this one, and pin it. A second time goes forward again.

    Raises
    ------
    NextmartError
        If there was none, or it can serve no more.
    """
    row = live(connection)
    found = connection.execute(PREVIOUS).fetchone() if row else None
    if row is None or found is None:
        raise NextmartError(
            f"there is nothing to roll back to: no other model was live. {_choices(connection, settings)}"
        )
    before = next((model for model in stored(connection) if model.model_version == found[0]), None)
    if why := why_unusable(before, settings) if before else "it is gone from ml.models":
        raise NextmartError(f"can't roll back to {found[0]}: {why}. {_choices(connection, settings)}")
    assert before is not None  # noqa: S101 - else there is a reason why not
    _pin(connection, before, f"live: rolled back to by hand, from {row.model}", run)


def unpin(connection: Connection, settings: Settings, run: JobRun) -> None:  # noqa: ARG001 - as every job
    """Let the next night decide again which model is live.

    Raises
    ------
    NextmartError
        If nothing is pinned.
    """
    row = live(connection)
    _, is_pinned = _standing(connection, row) if row else ("", False)
    if row is None or not is_pinned:
        raise NextmartError("no model is pinned")
    _record(connection, [Verdict(row.model_version, row.model, True, "live: was pinned by hand")], pinned=False)
    run.detail = {"live": row.model_version, "says": f"{row.model_version} is live until a night chooses another"}


def why_unusable(row: ModelRow, settings: Settings) -> str | None:
    """Say why a model can't recommend, where it can't."""
    if not row.has_weights:
        return "its weights are gone"
    if row.schema_version != SCHEMA_VERSION:
        return "its weights are of another version of nextmart"
    if row.embedding_model not in (None, settings.job_vars().embedding_model):
        return f"it was made for the embeddings of {row.embedding_model}"
    return None


def _pin(connection: Connection, row: ModelRow, reason: str, run: JobRun) -> None:
    before = live(connection)
    verdicts = [Verdict(row.model_version, row.model, True, reason)]
    if before and before.model_version != row.model_version:
        verdicts.append(Verdict(before.model_version, before.model, False, f"not live: {row.model} is pinned"))
    _record(connection, verdicts, pinned=True)
    _warn_if_due(connection, row.model_version)
    run.detail = {
        "live": row.model_version,
        "before": before.model_version if before else None,
        "says": f"{row.model_version} is live and pinned; the next `nextmart run` recommends with it",
    }


def _incumbent(connection: Connection, settings: Settings, row: ModelRow) -> Incumbent:
    reason, is_pinned = _standing(connection, row)
    why = why_unusable(row, settings)
    if not is_pinned and why is None:
        if row.model not in settings.models:
            why = f"{row.model} is none of the setting models"
        elif connection.execute(DUE, [row.model_version]).fetchone():
            why = "it has learnt from events that were deleted"
    return Incumbent(_entrant(connection, settings, row), reason, is_pinned, why)


def _standing(connection: Connection, row: ModelRow) -> tuple[str, bool]:
    """Return why the live model is live, and whether it is pinned."""
    known = {version: (reason, pinned) for version, _, pinned, reason in connection.execute(NEWEST).fetchall()}
    return known.get(row.model_version, ("live: since before reasons were kept", False))


def _entrant(connection: Connection, settings: Settings, row: ModelRow) -> Entrant:
    found = connection.execute(RANKS, [row.model_version]).fetchone()
    if found is None:
        return Entrant(row.model_version, row.model)
    values = rank_values(np.asarray(found[1]), settings.selection_metric, SELECTION_K)
    return Entrant(row.model_version, row.model, found[0], values)


def _record(connection: Connection, verdicts: Sequence[Verdict], *, pinned: bool) -> None:
    """Make the first verdict's model live, and write down what is new: all of it, or nothing."""
    known = {version: tuple(rest) for version, *rest in connection.execute(NEWEST).fetchall()}
    chosen, changed_at = verdicts[0].model_version, now()
    with transaction(connection):
        connection.execute(
            "update ml.models set status = if(model_version = $chosen, 'live', 'retired') "
            "where (model_version = $chosen) <> (status = 'live')",
            {"chosen": chosen},
        )
        for verdict in verdicts:
            is_pinned = pinned and verdict.is_live
            if known.get(verdict.model_version) != (verdict.is_live, is_pinned, verdict.reason):
                connection.execute(
                    "insert into ml.champions by name select $changed_at as changed_at, "
                    "$model_version as model_version, $family as family, $is_live as is_live, $pinned as pinned, "
                    "$reason as reason, $compared_with as compared_with, $difference as difference, "
                    "$ci_low as ci_low, $ci_high as ci_high",
                    {"changed_at": changed_at, "pinned": is_pinned, **_columns(verdict)},
                )


def _columns(verdict: Verdict) -> dict[str, Any]:
    gap = verdict.comparison
    return {
        "model_version": verdict.model_version, "family": verdict.family, "is_live": verdict.is_live,
        "reason": verdict.reason, "compared_with": gap.compared_with if gap else None,
        "difference": gap.difference if gap else None, "ci_low": gap.ci_low if gap else None,
        "ci_high": gap.ci_high if gap else None,
    }  # fmt: skip


def _warn_if_due(connection: Connection, model_version: str) -> None:
    if due := connection.execute(DUE, [model_version]).fetchone():
        say(f"the pinned model {model_version} has learnt from events deleted at {due[0]:%Y-%m-%d %H:%M} UTC: unpin it")


def _choices(connection: Connection, settings: Settings) -> str:
    usable = [row.model_version for row in stored(connection) if not why_unusable(row, settings)]
    return f"Models that can be pinned, newest first: {', '.join(usable) or 'none; run `nextmart train`'}"
