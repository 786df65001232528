"""Numbers runs, models and decisions about the live model in their order, because a clock can be wrong or set back.

Rows from before get their numbers by their times.
"""

import duckdb

from jobs.warehouse.migrations.added_columns import add_column

NUMBER_RUNS = """
    update ml.job_runs set run_number = numbered.number
    from (select run_id, row_number() over (order by started_at, run_id) as number from ml.job_runs) as numbered
    where job_runs.run_id = numbered.run_id
"""

NUMBER_MODELS = """
    update ml.models set model_number = numbered.number
    from (
        select model_version, row_number() over (order by finished_at, model_version) as number from ml.models
    ) as numbered
    where models.model_version = numbered.model_version
"""

NUMBER_DECISIONS = """
    update ml.champions set decision_number = numbered.number
    from (
        select changed_at, model_version, dense_rank() over (order by changed_at) as number from ml.champions
    ) as numbered
    where champions.changed_at = numbered.changed_at and champions.model_version = numbered.model_version
"""


def upgrade(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the numbers to tables of ``ml``; add to ``ml.models`` the latest ``loaded_at`` of events to learn from."""
    # all columns are added before any update, because DuckDB can't alter a table again that the same transaction has
    # updated
    has_runs = add_column(connection, "ml.job_runs", "run_number", "bigint")
    has_models = add_column(connection, "ml.models", "model_number", "bigint")
    has_decisions = add_column(connection, "ml.champions", "decision_number", "bigint")
    add_column(connection, "ml.models", "newest_loaded_at", "timestamptz")
    add_column(connection, "ml.deletions", "model_number", "bigint")
    for is_there, number_rows in (
        (has_runs, NUMBER_RUNS),
        (has_models, NUMBER_MODELS),
        (has_decisions, NUMBER_DECISIONS),
    ):
        if is_there:
            connection.execute(number_rows)
