"""`nextmart forget`: delete one visitor or user from the warehouse and the published file.

The published file is changed first, then the warehouse in one transaction. So a command that was killed between the two
still finds the person's events in the warehouse when it is run again. ``ml.deletions`` records the deletion without the
id of the person.
"""

from pathlib import Path

import duckdb

from jobs.commands.deletion_of_person import delete_collected_rows
from jobs.commands.person import Person
from jobs.commands.rows_of_person import collect_rows_to_delete
from jobs.errors import NextmartError, redact
from jobs.publishing.publish import withdraw_visitors
from jobs.settings import Settings
from jobs.warehouse.connection import Connection, connect, count_rows, quoted_name, transaction
from jobs.warehouse.job_runs import JobRun

OUT_OF_REACH = """
    -- What a service keeps that was made of visitors' histories: fine-tuned models, and uploaded files of examples
    select 'fine-tuned model ' || fine_tuned_model as name from ml.fine_tunes where fine_tuned_model is not null
    union
    select 'training file ' || file_id
    from ml.fine_tunes cross join unnest([training_file_id, validation_file_id]) as files(file_id)
    where file_id is not null
    order by all
"""


def forget(connection: Connection, settings: Settings, person: Person, run_record: JobRun) -> list[str]:
    """Delete a person from the warehouse and the published file; record the deletion, without the person's id.

    A published file that can't be read stays as it is; the run's detail says so in ``published_problem``.

    Returns
    -------
    The ids of the visitors who lost events, or rows made from events

    Raises
    ------
    NextmartError
        If ``raw.events``, ``raw.visitors`` or ``raw.impressions`` is a view, from which nextmart can't delete, and the
        view still shows rows of the person; then nothing is changed.
    """
    try:
        visitor_ids = collect_rows_to_delete(connection, person, settings.job_vars().null_words)
        withdrawn_row_count, problem = _withdraw_visitors_if_readable(connection, settings.published, visitor_ids)
        if count_rows(connection, "forgotten_events"):
            _remove_training_checkpoints(settings)
        with transaction(connection):
            deleted = delete_collected_rows(connection, person, withdrawn_row_count)
        # a checkpoint empties the warehouse's write-ahead log, which still holds the deleted rows
        connection.execute("checkpoint")
    except duckdb.Error as error:
        # DuckDB's error message may quote the person's id, so it must not reach ml.job_runs
        raise NextmartError(str(error).replace(person.id.strip(), "…")) from error
    run_record.rows_out = withdrawn_row_count + sum(deleted.values())
    run_record.status = "running" if run_record.rows_out else "unchanged"
    due = connection.execute("select model_version from ml.models_due order by all").fetchall()
    run_record.detail = {
        "deleted": deleted,
        "published": withdrawn_row_count,
        "published_problem": problem.replace(person.id.strip(), "…"),
        "due_for_retraining": [name for (name,) in due],
        "out_of_reach": [name for (name,) in connection.execute(OUT_OF_REACH).fetchall()],
    }
    return visitor_ids


def _withdraw_visitors_if_readable(
    connection: Connection, published_file: Path, visitor_ids: list[str]
) -> tuple[int, str]:
    """Delete the rows of visitors from the published file; return the number of rows, and why the file can't be read.

    Raises
    ------
    duckdb.Error
        If the file can be read, but not be replaced: the disk is full, for example.
    """
    try:
        return withdraw_visitors(connection, published_file, visitor_ids), ""
    except duckdb.Error:
        problem = _published_file_read_error(published_file)
        if not problem:
            raise
        return 0, problem


def _published_file_read_error(published_file: Path) -> str:
    """Read every value of the published file; return the text of the error, or an empty text if there is none."""
    try:
        with connect(published_file, read_only=True) as copy:
            tables = copy.execute("select table_name from duckdb_tables() where schema_name = 'recommendations'")
            for (table,) in tables.fetchall():
                relation = f"recommendations.{quoted_name(table)}"
                copy.execute(f"select count(hash(rows)) from {relation} as rows")
    except (NextmartError, duckdb.Error) as error:
        return redact(str(error))
    return ""


def _remove_training_checkpoints(settings: Settings) -> None:
    """Remove the checkpoints of killed fits: weights in checkpoints have learnt from events that will be deleted."""
    for path in (settings.work_folder / "checkpoints").glob("*"):
        path.unlink()
