"""The publish target ``duckdb``: a copy of the published file, for example in a folder that other machines mount."""

import filecmp
import shutil
from pathlib import Path
from typing import Final

import duckdb

from jobs.errors import NextmartError
from jobs.files import remove_database, replace_durably, unfinished_path
from jobs.publishing.published_file import (
    creating_private_files,
    next_owner_and_mode,
    set_owner_and_mode,
    without_write_ahead_log,
)
from jobs.publishing.targets.published_tables import open_published_file
from jobs.warehouse.connection import SCHEMAS

COUNT_PUBLICATION_TABLES: Final = """
    select count(*) from duckdb_tables() where schema_name = 'recommendations' and table_name = 'publication'
"""


def write_duckdb(published_file: Path, target_file: Path) -> int:
    """Copy the published file to the target, and verify the copy byte by byte before it replaces the file there.

    Returns
    -------
    int
        The number of rows of all tables together.

    Raises
    ------
    NextmartError
        If the target's file is named like a schema, or holds something else than a publication; or if the copy differs
        from the published file.
    """
    target_file = target_file.resolve()
    if target_file.stem.lower() in SCHEMAS:
        raise NextmartError(f"the file can't be called '{target_file.name}': that is the name of a schema in it")
    _require_replaceable(target_file, published_file)
    target_file.parent.mkdir(parents=True, exist_ok=True)
    unfinished_file = unfinished_path(target_file)
    remove_database(unfinished_file)  # a publish that was killed may have left an unfinished file
    try:
        with creating_private_files():
            shutil.copyfile(published_file, unfinished_file)
        if not filecmp.cmp(published_file, unfinished_file, shallow=False):
            raise NextmartError(f"the copy differs from {published_file}")
        set_owner_and_mode(unfinished_file, next_owner_and_mode(target_file))
        with without_write_ahead_log(target_file):
            replace_durably(unfinished_file, target_file)
    finally:
        remove_database(unfinished_file)
    with open_published_file(target_file) as (_, tables):
        return sum(table.row_count for table in tables)


def _require_replaceable(target_file: Path, published_file: Path) -> None:
    """Raise NextmartError if a file is the published file itself, or holds something else than a publication."""
    if not target_file.exists():
        return
    if target_file.samefile(published_file):
        raise NextmartError(f"{target_file} is the published file itself: name another file")
    try:
        with duckdb.connect(str(target_file), read_only=True) as connection:
            (count,) = connection.execute(COUNT_PUBLICATION_TABLES).fetchone() or (0,)
    except duckdb.Error as error:
        raise NextmartError(f"{target_file} can't be read as a publication, so it is not replaced: {error}") from error
    if not count:
        raise NextmartError(f"{target_file} is a database that nextmart has not published, so it is not replaced")
