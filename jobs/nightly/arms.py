"""The two arms of an experiment ([arms] in nextmart.toml): visitors with the live model's lists, and the control.

Visitors of the control get lists of another model, or popular items. A hash of a visitor's id and the setting ``salt``
decides the visitor's arm. A dbt macro computes it, which dbt's tests use too.
"""

from typing import Any, Final

from jobs.arm_settings import ArmsSettings
from jobs.errors import NextmartError
from jobs.nightly.last_run import NO_MODEL
from jobs.nightly.model_store import ModelRow, live_model
from jobs.nightly.promotion import newest_usable_models, why_no_usable_model
from jobs.settings import Settings
from jobs.warehouse.connection import Connection
from jobs.warehouse.dbt_macros import dbt_macros
from jobs.warehouse.job_runs import JobRun

MODEL_ARM: Final = "model"
CONTROL_ARM: Final = "control"

POPULARITY_FINGERPRINT: Final = """
    -- A text that changes when the score of an item, or the order of items, changes
    select count(*) || ':' || coalesce(bit_xor(hash(rank, item_id, score)), 0) from recommendations.popular_items
"""


def arm_sql(arm_settings: ArmsSettings | None, visitor_id_sql: str = "visitor_id") -> str:
    """Return SQL of a visitor's arm, ``model`` or ``control``; ``visitor_id_sql`` is SQL of the visitor's id."""
    if arm_settings is None:
        return f"'{MODEL_ARM}'"
    return str(
        dbt_macros("dialect.sql", "arms.sql").visitor_arm(visitor_id_sql, arm_settings.control, arm_settings.salt)
    )


def control_model(connection: Connection, settings: Settings, run_record: JobRun) -> ModelRow | None:
    """Return the model that makes the control's lists; None if the control gets popular items, or there is no control.

    While there is no live model, the control gets popular items, as all visitors do.

    Raises
    ------
    NextmartError
        If there is a live model, but no usable model of the family that the settings name for the control.
    """
    if settings.arms is None or settings.arms.control_model == "popularity":
        return None
    family = settings.arms.control_model
    for model in newest_usable_models(connection, settings, run_record):
        if model.family == family:
            return model
    if live_model(connection) is None:
        return None
    raise NextmartError(
        f"[arms] control_model: there is no usable model of the family {family}: "
        f"{why_no_usable_model(connection, settings, family)}; `nextmart train` trains it. Until then, leave out "
        "control_model or [arms]"
    )


def read_arm_inputs(
    connection: Connection, arm_settings: ArmsSettings | None, control_model_row: ModelRow | None
) -> dict[str, Any]:
    """Return what determines which visitors are in the control (``arms``), and which lists they get (``control``).

    Both values are None without an experiment.

    Parameters
    ----------
    control_model_row : ModelRow or None
        The model that makes the control's lists; None: the control gets popular items.
    """
    if arm_settings is None:
        return {"arms": None, "control": None}
    fingerprint = connection.execute(POPULARITY_FINGERPRINT).fetchone() if control_model_row is None else None
    return {
        "arms": {"control": arm_settings.control, "salt": arm_settings.salt},
        "control": control_model_row.model_version
        if control_model_row
        else f"{NO_MODEL}/{fingerprint[0] if fingerprint else ''}",
    }
