"""Reading the last finished run of the recommend job, and what determines the recommendation lists of a run."""

import json
from dataclasses import dataclass
from typing import Any

from jobs.dbt_vars import JobVars
from jobs.nightly.model_store import ModelRow
from jobs.warehouse.connection import Connection

NO_MODEL = "no-model"
"""The ``model_version`` of lists that were made before any model was trained."""

SELECT_LAST_RUN = """
    -- The last finished run of the recommend job. A later run that was interrupted or failed may already have written
    -- similar items
    with last_finished_run as (
        select run_id, detail, run_number from ml.job_runs
        where job = 'recommend' and status = 'done'
        order by run_number desc nulls last, started_at desc, run_id desc
        limit 1
    )
    select
        run_id, detail,
        exists(
            select 1 from ml.job_runs as later
            where later.job = 'recommend' and later.status in ('interrupted', 'failed')
                and later.run_number > last_finished_run.run_number
        ) as was_cut_short
    from last_finished_run
"""

SELECT_CATALOG_FINGERPRINT = """
    -- A text that changes when an item is added or removed, becomes available or unavailable, or gets another vector
    select count(*) || ':' || coalesce(bit_xor(hash(items.item_id, items.available, vectors.text_hash)), 0)
    from catalog.items as items
    left join catalog.item_embeddings as vectors on items.item_id = vectors.item_id
"""


@dataclass(frozen=True)
class LastRecommendRun:
    """The last finished run of the recommend job.

    Attributes
    ----------
    run_id : str or None
        None if no run has finished yet.
    inputs_of_lists : dict
        All that determined the run's lists besides the visitors' sequences, as :func:`read_inputs_of_lists` returns it;
        empty if no run has finished yet.
    has_unfinished_successor : bool
        Whether a later run was interrupted or failed; that run may have replaced the similar items.
    """

    run_id: str | None
    inputs_of_lists: dict[str, Any]
    has_unfinished_successor: bool

    def changed_inputs(self, inputs_of_lists: dict[str, Any]) -> set[str]:
        """Return the keys whose values differ between ``inputs_of_lists`` and those of the last finished run."""
        return {name for name, value in inputs_of_lists.items() if self.inputs_of_lists.get(name) != value}


def read_last_recommend_run(connection: Connection) -> LastRecommendRun:
    """Read the last finished run of the recommend job from ``ml.job_runs``."""
    row = connection.execute(SELECT_LAST_RUN).fetchone()
    if row is None:
        return LastRecommendRun(None, {}, False)
    run_id, detail, has_unfinished_successor = row
    return LastRecommendRun(run_id, json.loads(detail or "{}"), has_unfinished_successor)


def read_inputs_of_lists(connection: Connection, model_row: ModelRow | None, dbt_vars: JobVars) -> dict[str, Any]:
    """Return all that determines the lists of a run besides the visitors' sequences: the model, catalogue and vars."""
    row = connection.execute(SELECT_CATALOG_FINGERPRINT).fetchone()
    fingerprint = row[0] if row else ""
    return {
        "model_version": model_row.model_version if model_row else NO_MODEL,
        "catalog": f"{dbt_vars.embedding_model}/{dbt_vars.chosen_embedding_model.dimensions}/{fingerprint}",
        "similar": dbt_vars.similar_items_per_item,
        "lists": [
            dbt_vars.recommendations_per_visitor,
            dbt_vars.allow_repeats,
            dbt_vars.sequence_scope,
            sorted(dbt_vars.sequence_event_types),
            *([sorted(dbt_vars.target_event_types)] if dbt_vars.target_event_types else []),
        ],
    }
