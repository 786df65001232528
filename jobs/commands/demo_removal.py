"""Deletes the files of an earlier `nextmart demo` before a new demo, and leaves all other files alone.

A warehouse belongs to a demo if ``ml.job_runs`` has a run of the job ``demo`` and no rows were loaded afterwards. A
published file belongs to a demo if a run in the demo's warehouse published it.
"""

from pathlib import Path
from typing import Final

import duckdb

from jobs.errors import NextmartError
from jobs.files import remove_database
from jobs.warehouse.connection import Connection, connect
from jobs.warehouse.warehouse_tables import is_warehouse_table

WORK_FOLDER: Final = ".nextmart-demo"
"""The name of a demo's work folder; a real shop in the same folder has a work folder of another name."""

HAS_LOADED_ROWS: Final = """
    -- All rows of a demo have the same loaded_at; a second one shows that the user has loaded rows too
    select count(distinct loaded_at) > 1
    from (
        select loaded_at from raw.events
        union all select loaded_at from raw.items
        union all select loaded_at from raw.visitors
        union all select loaded_at from raw.impressions
    )
"""


def remove_earlier_demo(warehouse: Path, published_file: Path) -> None:
    """Delete the warehouse and the published file of an earlier demo, if they exist.

    Raises
    ------
    NextmartError
        If one of the files doesn't belong to a demo, or another process writes to it; then no file is deleted.
    """
    published_runs: set[str] = set()
    if warehouse.exists():
        with connect(warehouse, read_only=True) as connection:
            published_runs = _ids_of_publish_runs(connection, warehouse)
    if published_file.exists() and _id_of_publish_run(published_file) not in published_runs:
        raise _error_about_file_of_no_demo(published_file, "the warehouse of this folder didn't publish it")
    for file in (published_file, warehouse):
        remove_database(file)


def _ids_of_publish_runs(connection: Connection, warehouse: Path) -> set[str]:
    """Return the ids of the runs that published a demo's tables; raise NextmartError if the warehouse is no demo."""
    if connection.execute("select count(*) from duckdb_tables()").fetchone() == (0,):
        return set()  # the demo was killed before it wrote anything
    if not is_warehouse_table(connection, "ml", "job_runs"):
        raise _error_about_file_of_no_demo(warehouse, "nextmart has never run in it")
    runs = connection.execute("select job, run_id from ml.job_runs").fetchall()
    if runs and "demo" not in {job for job, _ in runs}:
        raise _error_about_file_of_no_demo(warehouse, "no run of a demo is recorded in it")
    if connection.execute(HAS_LOADED_ROWS).fetchone() == (True,) or (not runs and _has_events_or_items(connection)):
        raise _error_about_file_of_no_demo(warehouse, "rows were loaded into it")
    return {run_id for job, run_id in runs if job == "publish"}


def _has_events_or_items(connection: Connection) -> bool:
    return connection.execute("select exists (from raw.events) or exists (from raw.items)").fetchone() == (True,)


def _id_of_publish_run(published_file: Path) -> str | None:
    """Return the id of the run that published a file; None if the file is no published file."""
    try:
        with connect(published_file, read_only=True) as copy:
            found = copy.execute("select publish_run_id from recommendations.publication").fetchone()
    except (NextmartError, duckdb.Error):
        return None
    return str(found[0]) if found else None


def _error_about_file_of_no_demo(file: Path, reason: str) -> NextmartError:
    return NextmartError(
        f"{file.absolute()} is no demo's, so it stays as it is: {reason}. Choose another folder for the demo: "
        "`nextmart demo --folder FOLDER`; or delete the file yourself if nobody needs it."
    )
