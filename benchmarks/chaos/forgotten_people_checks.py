"""Checks that no id of a forgotten person is left in the warehouse, its backup copies, or nextmart's files."""

from pathlib import Path

import duckdb

from benchmarks.chaos.broken_rule import BrokenRule

TEXT_COLUMNS = """
    select database_name, schema_name, table_name, list(column_name) from duckdb_columns()
    where
        not internal and (data_type in ('VARCHAR', 'JSON') or data_type like '%VARCHAR%')
        and (database_name, schema_name, table_name) in (
            select (database_name, schema_name, table_name) from duckdb_tables()
        )
    group by all
"""


def check_forgotten_people(connection: duckdb.DuckDBPyConnection, folders: list[Path], forgotten_ids: set[str]) -> None:
    """Check that forgotten ids are in no table of the warehouse or an attached database, and in no file.

    Parameters
    ----------
    folders : list of Path
        The files to search, and folders whose files are searched.

    Raises
    ------
    BrokenRule
        If an id is found.
    """
    if not forgotten_ids:
        return
    pattern = "|".join(sorted(forgotten_ids))
    for database, schema, table, columns in connection.execute(TEXT_COLUMNS).fetchall():
        relation = ".".join(f'"{name}"' for name in (database, schema, table))
        text = ", ".join(f'"{column}"::varchar' for column in columns)
        where = f"regexp_matches(concat_ws(' ', {text}), $pattern)"
        if found := connection.execute(f"from {relation} where {where} limit 2", {"pattern": pattern}).fetchall():
            raise BrokenRule("nothing is kept of a forgotten person", f"{relation}: {found}")
    for path in (path for folder in folders for path in ([folder] if folder.is_file() else folder.rglob("*"))):
        if path.is_file() and (found := [name for name in forgotten_ids if name.encode() in path.read_bytes()]):
            raise BrokenRule("nothing is kept of a forgotten person", f"{path} holds {found}")


def check_backup_copies(folder: Path, forgotten_ids: set[str]) -> None:
    """Check that forgotten ids are in no table of the warehouse's backup copies, which ``folder`` holds.

    Raises
    ------
    BrokenRule
        If an id is found.
    """
    for path in folder.glob("*.duckdb"):
        with duckdb.connect(str(path), read_only=True) as copy:
            check_forgotten_people(copy, [], forgotten_ids)
