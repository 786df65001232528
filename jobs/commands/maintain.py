"""`nextmart maintain`, also run at the end of a night: retention, compaction, and a backup copy of the warehouse."""

import glob
from contextlib import closing
from dataclasses import fields
from typing import Any

import duckdb

from jobs.errors import NextmartError
from jobs.files import remove_database, unfinished_path
from jobs.os_errors import error_text
from jobs.settings import Settings
from jobs.warehouse.backups import (
    Backup,
    backup_read_error,
    drop_old_backups,
    list_backups,
    paths_left_by_killed_restore,
    require_copies_of_same_warehouse,
    take_backup,
)
from jobs.warehouse.compaction import compact, is_worth_compacting, read_file_size
from jobs.warehouse.connection import Connection, connect, prepare_warehouse
from jobs.warehouse.error_advice import damage_advice
from jobs.warehouse.job_runs import job_run
from jobs.warehouse.retention import Retention, delete_old_rows

NIGHTS_BETWEEN_COMPACTIONS = 7
"""A night compacts the warehouse only if the last compaction is at least so many nights ago."""

NIGHTS_SINCE_COMPACTION = """
    -- Nights are counted by what was published, not by a clock
    select count(*) from ml.job_runs
    where job = 'publish' and status = 'done' and run_number > (
        select max(run_number) from ml.job_runs where job = 'maintain' and (detail ->> 'compacted')::boolean
    )
    having exists(from ml.job_runs where job = 'maintain' and (detail ->> 'compacted')::boolean)
"""


def maintain(settings: Settings, *, at_night: bool = False) -> dict[str, Any]:
    """Delete rows and files past their retention, compact the warehouse if much of it is free, and take a backup copy.

    Parameters
    ----------
    at_night : bool
        Whether this is the end of a night. Then the warehouse is compacted at most every seventh night, and a
        compaction that fails raises no error, unless the warehouse is damaged.

    Returns
    -------
    The summary of the run: ``detail`` has the numbers of deleted rows by table, the deleted files, the bytes before
    and after, and the path of the copy

    Raises
    ------
    NextmartError
        If no copy can be taken, or the warehouse can't be compacted and ``at_night`` is false.
    duckdb.Error, OSError
        If DuckDB or the operating system refuses one of these steps.
    """
    with closing(connect(settings.warehouse, wait_seconds=settings.wait_seconds)) as connection:
        prepare_warehouse(connection)
        with job_run(connection, "maintain") as run_record:
            deleted = delete_old_rows(connection, _retention_of_settings(settings))
            files = _delete_old_checkpoints_and_unfinished_copies(settings)
            connection.execute("checkpoint")
            size = read_file_size(connection)
            due = is_worth_compacting(size, settings.compact_free_share) and not (
                at_night and _was_compacted_lately(connection)
            )
            detail = {"deleted": deleted, "files": files, "bytes_before": size.total_bytes, "compacted": False}
            run_record.detail, run_record.rows_out = detail, sum(deleted.values())
            run_record.status = "running" if deleted or files or due else "unchanged"
    if due:
        try:
            detail["bytes_after"] = compact(settings.warehouse).total_bytes
            detail["compacted"] = True
        except (NextmartError, duckdb.Error, OSError) as error:
            if not at_night:
                raise
            if damage_advice(str(error)):
                raise _damage_error(settings, str(error)) from error
            # a message of nextmart says what failed; those of DuckDB and the operating system say only why
            what_failed = "" if isinstance(error, NextmartError) else "the warehouse can't be compacted: "
            detail["not_compacted"] = what_failed + error_text(error)
        else:
            _record_compaction(settings, run_record.run_id)
    if settings.backups_kept:
        detail["backup"] = str(back_up(settings).path)
    return run_record.as_dictionary()


def _record_compaction(settings: Settings, run_id: str) -> None:
    """Record that a run has compacted the warehouse; a run whose compaction failed lets the next night try again."""
    with closing(connect(settings.warehouse, wait_seconds=settings.wait_seconds)) as connection:
        connection.execute(
            "update ml.job_runs set detail = json_merge_patch(detail, $compacted) where run_id = $run_id",
            {"run_id": run_id, "compacted": '{"compacted": true}'},
        )


def maintain_after_publication(settings: Settings) -> dict[str, Any]:
    """Call :func:`maintain` at the end of a night that has published its tables.

    Raises
    ------
    NextmartError
        If the upkeep fails; the message says that the tables are published.
    """
    try:
        return maintain(settings, at_night=True)
    except (NextmartError, duckdb.Error, OSError) as error:
        message = f"{settings.published} is published, but the upkeep after that failed: {error_text(error)}"
        # of a damaged warehouse, the message says how it is restored
        if not isinstance(error, WarehouseDamageError) and not damage_advice(str(error)):
            message += "\nThe next night does it again, or `nextmart maintain`."
        raise NextmartError(message) from error


def back_up(settings: Settings) -> Backup:
    """Take a verified backup copy of the warehouse, and delete the oldest copies beyond the number to keep.

    A warehouse that an earlier version of nextmart made is not upgraded.

    Raises
    ------
    NextmartError
        If no copy can be taken; if the warehouse is damaged, the message names the newest good copy. Or if the folder
        holds copies of another warehouse.
    """
    with closing(connect(settings.warehouse, wait_seconds=settings.wait_seconds)) as connection:
        connection.execute("checkpoint")  # an empty write-ahead log is removed when the file is closed
        require_copies_of_same_warehouse(connection, settings.warehouse, settings.backup_folder)
    try:
        backup = take_backup(settings.warehouse, settings.backup_folder)
    except NextmartError as error:
        if (problem := backup_read_error(settings.warehouse, settings.warehouse.stem)) is None:
            raise
        raise _damage_error(settings, problem) from error
    if settings.backups_kept:  # with the setting 0, users take copies by hand, and delete them by hand
        drop_old_backups(settings.backup_folder, settings.warehouse, settings.backups_kept)
    return backup


class WarehouseDamageError(NextmartError):
    """The warehouse is damaged; the message says which copy can take its place."""


def _damage_error(settings: Settings, problem: str) -> WarehouseDamageError:
    """Return an error that says that the warehouse is damaged, and which copy can take its place."""
    backups = list_backups(settings.backup_folder, settings.warehouse)
    advice = "There is no copy to put in its place (setting backups_kept)."
    if backups:
        advice = (
            f"The copies stay as they are; the newest is of {backups[0].taken_at:%Y-%m-%d %H:%M} UTC. Put it in the "
            "warehouse's place: nextmart restore"
        )
    return WarehouseDamageError(f"{settings.warehouse} is damaged: {problem}\n{advice}")


def summary_lines(summary: dict[str, Any]) -> list[str]:
    """Return the summary of :func:`maintain` as lines for the terminal."""
    detail = summary["detail"]
    lines = [f"deleted: {count:,} rows of {table}" for table, count in detail["deleted"].items()]
    lines += [f"deleted: {file}" for file in detail["files"]]
    if "bytes_after" in detail:
        lines.append(f"compacted: {detail['bytes_before'] / 1e6:,.1f} MB are {detail['bytes_after'] / 1e6:,.1f} MB now")
    if "not_compacted" in detail:
        lines.append(f"WARN: {detail['not_compacted']}")
    if "backup" in detail:
        lines.append(f"copied and verified: {detail['backup']}")
    return lines


def _retention_of_settings(settings: Settings) -> Retention:
    return Retention(**{field.name: getattr(settings, field.name) for field in fields(Retention)})


def _delete_old_checkpoints_and_unfinished_copies(settings: Settings) -> list[str]:
    """Delete old checkpoints, and copies that a kill left unfinished; return the paths of the deleted files."""
    checkpoints = sorted(
        (settings.work_folder / "checkpoints").glob("*"), key=lambda path: path.stat().st_mtime, reverse=True
    )
    unfinished = unfinished_path(settings.warehouse.resolve())
    old = [*checkpoints[settings.checkpoints_kept :], *([unfinished] if unfinished.exists() else [])]
    old += paths_left_by_killed_restore(settings.warehouse)
    if settings.backup_folder.is_dir():
        old += settings.backup_folder.glob(f".{glob.escape(settings.warehouse.stem)}.*.unfinished")
    for path in old:
        remove_database(path)
    return [str(path) for path in old]


def _was_compacted_lately(connection: Connection) -> bool:
    row = connection.execute(NIGHTS_SINCE_COMPACTION).fetchone()
    return row is not None and row[0] < NIGHTS_BETWEEN_COMPACTIONS
