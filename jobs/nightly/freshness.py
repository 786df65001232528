"""Which models are fresh, and which have to be trained."""

import hashlib
import json
from typing import Any

from jobs.models.base import Model
from jobs.nightly.model_store import SCHEMA_VERSION
from jobs.settings import Settings, Vars
from jobs.warehouse.connection import Connection

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


def measured_on(connection: Connection, cases_hash: str) -> set[str]:
    """Return the model_versions that were measured on these validation cases."""
    query = "select model_version from ml.model_ranks where cases_hash = ? and ends_with(split, '/validation')"
    return {version for (version,) in connection.execute(query, [cases_hash]).fetchall()}


def fingerprint(model: Model, settings: Settings, dbt_vars: Vars) -> str:
    """Return a hash of all that makes a model what it is, but the data: while it stays, a model can be fresh."""
    recipe: dict[str, Any] = {
        "family": model.family,
        "parameters": model.parameters,
        "schema_version": SCHEMA_VERSION,
        "sequences": [
            dbt_vars.sequence_scope,
            sorted(dbt_vars.sequence_event_types),
            dbt_vars.collapse_repeats,
            dbt_vars.allow_repeats,
        ],
        **settings.model_dump(
            mode="json", include={"seed", "protocol", "cutoff_at", "holdout_share", "validation_limit"}
        ),
    }
    if model.uses_embeddings:
        recipe["embedding"] = [dbt_vars.embedding_model, dbt_vars.embedding.dimensions]
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
