"""`nextmart status`: what a person asks in the morning, read from the warehouse."""

from pathlib import Path
from typing import Any

import duckdb

from jobs.settings import Settings
from jobs.warehouse.connection import Connection, connect

LAST_RUNS = """
    select job, status, started_at, finished_at, rows_out, error from ml.job_runs
    qualify row_number() over (partition by job order by started_at desc, run_id desc) = 1
    order by job
"""

LIVE_MODEL = """
    select
        models.model_version, models.data_cutoff_at, metrics.value as ndcg_at_20,
        coalesce(decisions.pinned, false) as is_pinned, decisions.reason
    from ml.models as models
    left join ml.champions as decisions on models.model_version = decisions.model_version
    left join ml.model_metrics as metrics
        on models.model_version = metrics.model_version and ends_with(metrics.split, '/test')
        and metrics.metric = 'ndcg' and metrics.k = 20 and metrics.segment = 'all'
    where models.status = 'live'
    order by decisions.changed_at desc limit 1
"""

BACKLOG = """
    select status, count(*) as items, min(missing_since) as missing_since, any_value(error order by item_id) as error
    from catalog.embedding_backlog
    group by status
    order by status
"""

BATCHES = """
    select batch_id, embedding_model, status, texts, created_at from ml.embedding_batches
    where ended_at is null
    order by created_at
"""

DUE_MODELS = "select model_version, model, deleted_at from ml.models_due order by model_version"

NEWEST_BUILD = """
    select batch_id, event_count, rejected_count, late_count, very_late_count from staging.event_batches
    order by batch_id desc limit 1
"""

FRESHNESS = "select source_table, newest_loaded_at, newest_at from staging.source_freshness order by source_table"

COUNTS = {
    "raw events": "select count(*) from raw.events",
    "rejected events": "select count(*) from staging.rejected_events",
    "events left for the next run": "select waiting_count from staging.event_batches order by batch_id desc limit 1",
    "visitors that are bots": "select count(*) from sessions.bot_visitors",
    "items": "select count(*) from catalog.items",
    "items without an embedding": (
        "select count(*) from catalog.items where item_id not in (select item_id from catalog.item_embeddings)"
    ),
    "visitors with recommendations": "select count(distinct visitor_id) from recommendations.visitor_recommendations",
}


def status(connection: Connection, settings: Settings) -> dict[str, Any]:
    """Return counts, the newest build, the last runs, the live model, models due, what is published; absent is null."""
    return {
        "warehouse": str(settings.warehouse),
        "counts": {name: _value(connection, query) for name, query in COUNTS.items()},
        "newest_build": next(iter(_rows(connection, NEWEST_BUILD)), None),
        "freshness": _rows(connection, FRESHNESS),
        "embedding_backlog": _rows(connection, BACKLOG),
        "embedding_batches": _rows(connection, BATCHES),
        "last_runs": _rows(connection, LAST_RUNS),
        "live_model": next(iter(_rows(connection, LIVE_MODEL)), None),
        "due_for_retraining": _rows(connection, DUE_MODELS),
        "published": _published(settings.published),
    }


def _published(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    with connect(path, read_only=True) as copy:
        found = _rows(copy, "from recommendations.publication")
    return {"file": str(path), **found[0]} if found else None


def _value(connection: Connection, query: str) -> int | None:
    rows = _rows(connection, query)
    return next(iter(rows[0].values())) if rows else None


def _rows(connection: Connection, query: str) -> list[dict[str, Any]]:
    try:
        result = connection.execute(query)
    except duckdb.CatalogException:  # not built yet
        return []
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
