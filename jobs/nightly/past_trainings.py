"""What the warehouse knows of earlier trainings: how long fits took, and which families the last run left out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from jobs.nightly.model_store import NEWEST_FIRST
from jobs.warehouse.connection import Connection

SELECT_PAST_FITS = f"""
    -- The fits of all models that were stored, newest first. A fit during which the clock was set back has no duration
    with trained_models as (
        select
            run_id, unnest(from_json(detail -> 'trained', '["VARCHAR"]')) as model_version,
            coalesce(from_json(detail -> 'cut_short', '["VARCHAR"]'), []) as cut_short_versions
        from ml.job_runs
        where job = 'train' and detail is not null
    ),

    families_of_runs as (
        select trained_models.run_id, list(models.model) as families
        from trained_models
        inner join ml.models as models on trained_models.model_version = models.model_version
        group by trained_models.run_id
    )

    select
        models.model, models.fingerprint, epoch(finished_at - started_at) / training_rows as seconds_per_row,
        coalesce(list_contains(trained_models.cut_short_versions, models.model_version), false) as was_cut_short,
        coalesce(families_of_runs.families, []) as families_of_run
    from ml.models as models
    left join trained_models on models.model_version = trained_models.model_version
    left join families_of_runs on trained_models.run_id = families_of_runs.run_id
    where finished_at >= started_at and training_rows > 0
    order by {NEWEST_FIRST.replace("model_version", "models.model_version")}
"""  # noqa: S608

SELECT_LAST_RUN = """
    select detail from ml.job_runs
    where job = 'train' and status = 'done'
    order by run_number desc nulls last, started_at desc, run_id desc
    limit 1
"""


@dataclass(frozen=True)
class PastFit:
    """The fit of a model of ``ml.models``.

    Attributes
    ----------
    recipe_fingerprint : str
        The hash of all that determines the model except the data.
    seconds_per_row : float
        The time from the fit's start until the model was stored, divided by the number of training sequences.
    was_cut_short : bool
        Whether the training ended early because its time was up.
    families_of_run : sequence of str
        The families that the same run of the train job trained; empty if the run was killed.
    """

    family: str
    recipe_fingerprint: str
    seconds_per_row: float
    was_cut_short: bool
    families_of_run: Sequence[str]


@dataclass(frozen=True)
class LeftOutFamilies:
    """The families that the last finished run of the train job left out.

    Attributes
    ----------
    runs_in_a_row : family -> int
        The number of runs, up to the last one, that have left the family out one after another.
    data_cutoff_at : datetime or None
        Where that run cut the history; None if it left no family out.
    """

    runs_in_a_row: Mapping[str, int] = field(default_factory=dict)
    data_cutoff_at: datetime | None = None


def read_past_fits(connection: Connection) -> list[PastFit]:
    """Read the fits of all models in ``ml.models``, newest first."""
    return [PastFit(*row) for row in connection.execute(SELECT_PAST_FITS).fetchall()]


def read_left_out_families(connection: Connection) -> LeftOutFamilies:
    """Read which families the last finished run of the train job left out, from its detail in ``ml.job_runs``."""
    row = connection.execute(SELECT_LAST_RUN).fetchone()
    detail = json.loads(row[0] or "{}") if row else {}
    if not detail.get("left_out"):
        return LeftOutFamilies()
    return LeftOutFamilies(
        {left_out["family"]: left_out["runs_in_a_row"] for left_out in detail["left_out"]},
        datetime.fromisoformat(detail["data_cutoff_at"]),
    )
