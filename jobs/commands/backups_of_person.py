"""Deletes backup copies of the warehouse that hold data of a forgotten person, after taking a new copy without it.

A copy is never changed. Once a new copy without the person is taken and verified, the copies that hold the person are
deleted. If no new copy can be taken, the old copies stay and are named to the user, because only they could replace a
damaged warehouse.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from jobs.commands.maintain import back_up
from jobs.commands.person import Person
from jobs.commands.rows_of_person import id_in_unreadable_row_sql
from jobs.errors import NextmartError
from jobs.os_errors import error_text
from jobs.settings import Settings
from jobs.warehouse.backups import list_backups, replaced_warehouse_paths
from jobs.warehouse.connection import quoted_name
from jobs.warehouse.contents import open_read_only

SELECT_COLUMNS_WITH_IDS = """
    select schema_name, table_name, column_name from duckdb_columns()
    where database_name = current_database()
        and (
            column_name in ('visitor_id', 'user_id')
            or (schema_name, table_name, column_name) = ('raw', 'unreadable_rows', 'raw_row')
        )
        and table_oid in (select table_oid from duckdb_tables() where database_name = current_database())
    order by all
"""

CONDITION_BY_ID_COLUMN = {
    "visitor_id": "list_contains($visitors, trim(visitor_id))",
    "user_id": "trim(user_id) = $user",
    "raw_row": id_in_unreadable_row_sql("$id"),
}


@dataclass
class BackupDeletion:
    """Which backup copies with data of a forgotten person were deleted, and which files still hold such data.

    Attributes
    ----------
    deleted_copy_paths : list of Path
        Paths of the copies that held data of the person.
    new_copy_path : Path or None
        Path of the copy that was taken before the old copies were deleted; None if none had to be deleted.
    warnings_about_remaining_files : list of str
        A text for each file that holds data of the person, or may hold it, and that the user has to delete: its path
        and the reason.
    """

    deleted_copy_paths: list[Path] = field(default_factory=list)
    new_copy_path: Path | None = None
    warnings_about_remaining_files: list[str] = field(default_factory=list)

    def as_dictionary(self) -> dict[str, Any]:
        """Return the outcome as a dictionary for JSON."""
        return {
            "deleted": [str(path) for path in self.deleted_copy_paths],
            "new_copy": str(self.new_copy_path) if self.new_copy_path else None,
            "still_held": self.warnings_about_remaining_files,
        }

    def terminal_lines(self) -> list[str]:
        """Return the outcome as lines for the terminal."""
        lines = []
        if self.deleted_copy_paths:
            names = ", ".join(str(path) for path in self.deleted_copy_paths)
            lines.append(f"deleted, because they held this person: {names}; {self.new_copy_path} takes their place")
        return lines + [f"WARN: delete it by hand: {text}" for text in self.warnings_about_remaining_files]


def delete_copies_holding_person(settings: Settings, person: Person, visitor_ids: list[str]) -> BackupDeletion:
    """Delete the backup copies that hold data of a person whom the warehouse itself has already forgotten.

    Parameters
    ----------
    visitor_ids : list of str
        The visitors who lost rows in the warehouse; the person's own id is looked for in any case.
    """
    backups = [backup.path for backup in list_backups(settings.backup_folder, settings.warehouse)]
    set_aside = [path for path in replaced_warehouse_paths(settings.warehouse) if not path.name.endswith(".wal")]
    outcome, holding = BackupDeletion(), []
    for path in [*backups, *set_aside]:
        try:
            if copy_holds_person(path, settings.warehouse.stem, person, visitor_ids):
                holding.append(path)
        except NextmartError:
            outcome.warnings_about_remaining_files.append(f"{path} is damaged, and may hold this person")
    outcome.warnings_about_remaining_files += [
        f"{path} holds this person: a copy has replaced it" for path in holding if path in set_aside
    ]
    holding = [path for path in holding if path in backups]
    if holding:
        try:
            outcome.new_copy_path = back_up(settings).path
        except (NextmartError, duckdb.Error, OSError) as error:
            reason = f"holds this person, and no new copy could be taken: {error_text(error)}"
            outcome.warnings_about_remaining_files += [f"{path} {reason}" for path in holding]
        else:
            for path in holding:
                try:
                    # the file may be gone: taking a new copy deletes the oldest copies beyond the number to keep
                    path.unlink(missing_ok=True)
                    outcome.deleted_copy_paths.append(path)
                except OSError as error:
                    reason = f"holds this person, and can't be deleted: {error_text(error)}"
                    outcome.warnings_about_remaining_files.append(f"{path} {reason}")
    return outcome


def copy_holds_person(copy_path: Path, database_name: str, person: Person, visitor_ids: list[str]) -> bool:
    """Tell whether a table of a copy has a row of the person, or an unreadable row in which the person's id stands.

    Raises
    ------
    NextmartError
        If the copy can't be read.
    """
    own = person.id.strip()
    is_user = person.id_type == "user"
    known = sorted({*visitor_ids, *([] if is_user else [own])})
    parameters = {"visitors": known, "user": own if is_user else None, "id": own}
    with open_read_only(copy_path, database_name) as connection:
        for schema, table, column in connection.execute(SELECT_COLUMNS_WITH_IDS).fetchall():
            relation = f"{quoted_name(schema)}.{quoted_name(table)}"
            names = ("visitors",) if column == "visitor_id" else ("user",) if column == "user_id" else ("id",)
            query = f"select exists(from {relation} where {CONDITION_BY_ID_COLUMN[column]})"
            try:
                found = connection.execute(query, {name: parameters[name] for name in names}).fetchone()
            except duckdb.Error as error:
                raise NextmartError(f"{copy_path} can't be read") from error
            if found and found[0]:
                return True
    return False
