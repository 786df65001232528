"""Deletes old rows of tables that would grow without bound; rows about live models are kept for ever.

All limits are numbers of what is kept: the newest rows, runs or models, or the newest days with a publication. None is
an age, so that a wrong clock deletes nothing.
"""

from dataclasses import dataclass

from jobs.warehouse.connection import Connection, execute_and_fetch_number, transaction

DELETE_OLD_RUNS = """
    -- A run that cost money stays, and so does each job's newest finished run, from which the next one goes on. A run
    -- that cut the training of a model short stays as long as the model: only this run says that a whole fit would have
    -- taken longer
    delete from ml.job_runs where coalesce(cost, 0) = 0 and status <> 'running' and run_id not in (
        select run_id from ml.job_runs
        qualify row_number() over (partition by job order by run_number desc) <= $job_runs_kept
            or row_number() over (partition by job, status order by run_number desc) <= $runs_kept
        union all
        select run_id from (
            select run_id, unnest(from_json(detail -> 'cut_short', '["VARCHAR"]')) as model_version
            from ml.job_runs where job = 'train'
        )
        where model_version in (select model_version from ml.models)
    )
"""

CREATE_OLD_MODELS = """
    -- Models whose rows are deleted: models without weights that were never live, were not compared with a live model,
    -- and are older than the newest model of their family
    create or replace temp table old_models as
    select model_version from ml.models
    where weights is null and status <> 'live'
        and model_version not in (select model_version from ml.champions where is_live)
        and model_version not in (
            select compared_with from ml.champions
            where compared_with is not null
                and model_version in (select model_version from ml.champions where is_live)
        )
        and model_version not in (select model_version from ml.recommendations)
        and model_version not in (
            select model_version from ml.models
            qualify
                row_number() over (partition by model order by model_number desc) <= $metrics_kept
        )
"""

TABLES_OF_MODELS = ("ml.model_metrics", "ml.model_ranks", "ml.champions", "ml.models")

DELETE_UNREADABLE_ROWS = """
    delete from raw.unreadable_rows where rowid not in (
        select rowid from raw.unreadable_rows order by loaded_at desc, rowid desc limit $unreadable_rows_kept
    )
"""


DELETE_OLD_LISTS = """
    -- Deletes lists that were live on none of the newest `published_lists_days` days with a publication
    delete from ml.published_lists where live_until < (
        select min(day) from (
            select distinct date_trunc('day', decided_at) as day from ml.publication_changes
            where outcome <> 'held'
            order by day desc limit $published_lists_days
        )
    )
"""


@dataclass(frozen=True)
class Retention:
    """How many runs, models, rows and days are kept; the fields are the settings of the same names."""

    job_runs_kept: int
    metrics_kept: int
    published_lists_days: int
    unreadable_rows_kept: int
    runs_kept: int


def delete_old_rows(connection: Connection, retention: Retention) -> dict[str, int]:
    """Delete rows past their retention in one transaction; return the number of deleted rows by table."""
    deleted = {}
    with transaction(connection):
        connection.execute(CREATE_OLD_MODELS, {"metrics_kept": retention.metrics_kept})
        for table in TABLES_OF_MODELS:
            deleted[table] = execute_and_fetch_number(
                connection,
                f"delete from {table} where model_version in (from old_models)",  # noqa: S608
            )
        deleted["ml.job_runs"] = execute_and_fetch_number(
            connection,
            DELETE_OLD_RUNS,
            {"job_runs_kept": retention.job_runs_kept, "runs_kept": retention.runs_kept},
        )
        deleted["raw.unreadable_rows"] = execute_and_fetch_number(
            connection, DELETE_UNREADABLE_ROWS, {"unreadable_rows_kept": retention.unreadable_rows_kept}
        )
        deleted["ml.published_lists"] = execute_and_fetch_number(
            connection, DELETE_OLD_LISTS, {"published_lists_days": retention.published_lists_days}
        )
        connection.execute("drop table old_models")
    return {table: count for table, count in deleted.items() if count}
