"""`nextmart restore`: replace the warehouse by one of its backup copies."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jobs.errors import NextmartError, UsageError
from jobs.progress import say
from jobs.settings import Settings
from jobs.warehouse.backups import Backup, backup_read_error, list_backups, restore_backup
from jobs.warehouse.contents import open_read_only
from jobs.warehouse.warehouse_tables import is_warehouse_table


def list_of_copies(settings: Settings) -> tuple[dict[str, Any], str]:
    """List the backup copies of the warehouse, newest first: as a dictionary for JSON, and as lines of text."""
    copies = list_backups(settings.backup_folder, settings.warehouse)
    summary = [{"file": str(copy.path), "bytes": copy.size_bytes, "taken_at": copy.taken_at} for copy in copies]
    lines = [f"{copy.path}  {copy.taken_at:%Y-%m-%d %H:%M} UTC  {copy.size_bytes / 1e6:,.1f} MB" for copy in copies]
    return {"copies": summary}, "\n".join(lines) or f"there is no copy of {settings.warehouse}"


def restore(settings: Settings, copy_path: Path | None) -> tuple[dict[str, Any], str]:
    """Replace the warehouse by the backup copy at ``copy_path``; None: by the newest copy whose every row can be read.

    Returns
    -------
    The result as a dictionary for JSON, and as lines for the terminal

    Raises
    ------
    NextmartError
        If there is no good copy, or the warehouse is open in another process; nothing is changed then.
    UsageError
        If ``copy_path`` is no copy of a warehouse.
    """
    backup = _backup_at_path(copy_path) if copy_path else _newest_good_copy(settings)
    kept = restore_backup(backup, settings.warehouse)
    summary = {"restored": str(backup.path), "taken_at": backup.taken_at, "kept": str(kept) if kept else None}
    lines = [f"{settings.warehouse} is the copy of {backup.taken_at:%Y-%m-%d %H:%M} UTC now ({backup.path})"]
    lines += [f"the file of before is kept: {kept}; delete it when you no longer need it"] if kept else []
    lines.append(
        "what was loaded since then is missing: `nextmart load` takes it from feeds again; then `nextmart run`"
    )
    return summary, "\n".join(lines)


def _backup_at_path(path: Path) -> Backup:
    if not path.is_file():
        raise UsageError(f"there is no copy {path}: `nextmart restore --list` shows those that there are")
    with open_read_only(path, "copy") as connection:
        if not is_warehouse_table(connection, "ml", "job_runs"):
            raise UsageError(
                f"{path} is no copy of a warehouse: nextmart has never run in it. `nextmart restore --list` shows the "
                "copies that there are"
            )
    status = path.stat()
    return Backup(path, 0, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _newest_good_copy(settings: Settings) -> Backup:
    copies = list_backups(settings.backup_folder, settings.warehouse)
    for copy in copies:
        problem = backup_read_error(copy.path, settings.warehouse.stem)
        if problem is None:
            return copy
        say(f"WARN: a copy is damaged, an older one is tried: {problem}")
    raise NextmartError(
        f"there is no good copy of {settings.warehouse} in {settings.backup_folder} (setting backups_kept)"
    )
