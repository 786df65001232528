"""`nextmart status`: counts, feeds, last runs, the live model, missing vectors and the published file, at a glance."""

from pathlib import Path
from typing import Any

import duckdb

from jobs.commands.sizes import read_sizes
from jobs.errors import NextmartError, redact
from jobs.loading.feed_settings import read_feeds
from jobs.loading.feed_states import feed_states
from jobs.settings import Settings
from jobs.warehouse.connection import Connection, connect

LAST_RUNS = """
    select job, status, started_at, finished_at, rows_out, error from ml.job_runs
    qualify row_number() over (partition by job order by run_number desc nulls last, started_at desc, run_id desc) = 1
    order by job
"""

LIVE_MODEL = """
    select
        models.model_version, models.data_cutoff_at, metrics.value as ndcg_at_20,
        coalesce(decisions.pinned, false) as is_pinned, decisions.reason,
        models.training_rows, models.training_sequences
    from ml.models as models
    left join ml.champions as decisions on models.model_version = decisions.model_version
    left join ml.model_metrics as metrics
        on models.model_version = metrics.model_version and ends_with(metrics.split, '/test')
        and metrics.metric = 'ndcg' and metrics.k = 20 and metrics.segment = 'all'
    where models.status = 'live'
    order by decisions.decision_number desc nulls last, decisions.changed_at desc limit 1
"""

EMBEDDING_BACKLOG = """
    select status, count(*) as items, min(missing_since) as missing_since, any_value(error order by item_id) as error
    from catalog.embedding_backlog
    group by status
    order by status
"""

OPEN_BATCHES = """
    select batch_id, embedding_model, status, texts, created_at from ml.embedding_batches
    where ended_at is null
    order by created_at
"""

MODELS_DUE = "select model_version, model, deleted_at from ml.models_due order by model_version"

LEFT_OUT_OF_TRAINING = """
    -- The families for which the last finished run of the train job had no time
    with last_training as (
        select detail from ml.job_runs
        where job = 'train' and status = 'done'
        order by run_number desc nulls last, started_at desc, run_id desc limit 1
    )
    select unnest(
        from_json(
            detail -> 'left_out',
            '[{"family": "VARCHAR", "needed_minutes": "DOUBLE", "minutes_left": "DOUBLE", "runs_in_a_row": "INTEGER"}]'
        ),
        recursive := true
    )
    from last_training
"""

DAMAGED_MODELS = """
    -- Models that lost their place because their weights are damaged, until a newer model of the family is trained
    with newest_decisions as (
        select model_version, changed_at, reason from ml.champions
        qualify row_number() over (
            partition by model_version order by decision_number desc nulls last, changed_at desc
        ) = 1
    ),

    newest_models as (
        select model_version, model, weights is not null as has_weights from ml.models
        qualify row_number() over (
            partition by model order by model_number desc nulls last, finished_at desc, model_version desc
        ) = 1
    )

    select newest_decisions.model_version, newest_decisions.changed_at
    from newest_decisions
    inner join newest_models on newest_decisions.model_version = newest_models.model_version
    where
        newest_decisions.reason = 'not live: its weights are damaged'
        and newest_models.has_weights and list_contains($trained_families, newest_models.model)
    order by newest_decisions.changed_at desc
"""

PLACEMENTS = """
    -- Each placement that the settings name or that has lists
    select
        placement, count(visitor_id) as visitors, coalesce(sum(length), 0)::bigint as rows,
        count(*) filter (where length < k) as short_visitors, max(generated_at) as newest_at
    from (select unnest($names::varchar[]) as placement union select placement from ml.placement_lists) as placements
    left join ml.placement_lists as lists using (placement)
    group by placement
    order by placement
"""

NEWEST_BUILD = """
    select batch_id, event_count, rejected_count, late_count, very_late_count from staging.event_batches
    order by batch_id desc limit 1
"""

LAST_PUBLISHED_FILE = """
    select detail ->> 'file' as file from ml.job_runs
    where job = 'publish' and status = 'done'
    order by run_number desc nulls last, started_at desc, run_id desc limit 1
"""

SOURCE_FRESHNESS = (
    "select source_table, newest_loaded_at, newest_at from staging.source_freshness order by source_table"
)

COUNT_QUERIES = {
    "raw events": "select count(*) from raw.events",
    "rejected events": "select count(*) from staging.rejected_events",
    "rejected rows of the catalogue": "select count(*) from staging.rejected_items",
    "events left for the next run": "select waiting_count from staging.event_batches order by batch_id desc limit 1",
    "visitors that are bots": "select count(*) from sessions.bot_visitors",
    "items": "select count(*) from catalog.items",
    "items without an embedding": (
        "select count(*) from catalog.items where item_id not in (select item_id from catalog.item_embeddings)"
    ),
    "visitors with recommendations": "select count(distinct visitor_id) from recommendations.visitor_recommendations",
}


def read_status(connection: Connection, settings: Settings) -> dict[str, Any]:
    """Return the state of the warehouse and of the published file as a dictionary, ready for JSON.

    What does not exist yet is None: the count of a table, the last build, the live model, the published file.
    """
    return {
        "warehouse": str(settings.warehouse),
        "counts": {name: _query_value(connection, query) for name, query in COUNT_QUERIES.items()},
        "newest_build": next(iter(_query_rows(connection, NEWEST_BUILD)), None),
        "freshness": _query_rows(connection, SOURCE_FRESHNESS),
        "feeds": feed_states(connection, read_feeds(settings.feeds, settings.max_unreadable_share)),
        "embedding_backlog": _query_rows(connection, EMBEDDING_BACKLOG),
        "embedding_batches": _query_rows(connection, OPEN_BATCHES),
        "last_runs": _query_rows(connection, LAST_RUNS),
        "live_model": next(iter(_query_rows(connection, LIVE_MODEL)), None),
        "damaged_models": _query_rows(connection, DAMAGED_MODELS, {"trained_families": settings.models}),
        "due_for_retraining": _query_rows(connection, MODELS_DUE),
        "left_out_of_training": _query_rows(connection, LEFT_OUT_OF_TRAINING),
        "placements": _query_rows(connection, PLACEMENTS, {"names": list(settings.placements)}),
        "published": _read_publication(connection, settings.published),
        "sizes": read_sizes(connection, settings),
    }


def _read_publication(connection: Connection, published_file: Path) -> dict[str, Any] | None:
    """Return the path of the published file and what it says of its publication; None if there is no such file.

    If ``published_file`` does not exist, the file to which this warehouse was last published is read instead. If the
    file can't be read, ``problem`` says why.
    """
    if not published_file.exists():
        last = _query_rows(connection, LAST_PUBLISHED_FILE)
        published_file = Path(last[0]["file"]) if last and last[0]["file"] else published_file
    if not published_file.exists():
        return None
    try:
        with connect(published_file, read_only=True) as copy:
            publications = _rows_as_dictionaries(copy.execute("from recommendations.publication"))
    except (NextmartError, duckdb.Error) as error:
        return {"file": str(published_file), "published_at": None, "problem": redact(str(error))}
    if not publications:
        return {"file": str(published_file), "published_at": None, "problem": "its table publication is empty"}
    return {"file": str(published_file), **publications[0], "problem": None}


def _query_value(connection: Connection, query: str) -> int | None:
    """Return the single value of a query; None if a table of the query is not built yet."""
    rows = _query_rows(connection, query)
    return next(iter(rows[0].values())) if rows else None


def _query_rows(
    connection: Connection, query: str, bound_values: dict[str, object] | None = None
) -> list[dict[str, Any]]:
    """Return the rows of a query as dictionaries; no rows if a table is not built, or its database is not attached."""
    try:
        return _rows_as_dictionaries(connection.execute(query, bound_values))
    # DuckDB raises a BinderException if a view reads a database that is not attached
    except (duckdb.CatalogException, duckdb.BinderException):
        return []


def _rows_as_dictionaries(executed_query: Connection) -> list[dict[str, Any]]:
    columns = [column[0] for column in executed_query.description or []]
    return [dict(zip(columns, row, strict=True)) for row in executed_query.fetchall()]
