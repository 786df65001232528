"""The gate before publishing: a new file with far fewer rows than the live file is held, unless the user allows it."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import duckdb

from jobs.errors import NextmartError
from jobs.progress import say
from jobs.publishing.publication_history import (
    Outcome,
    Publication,
    count_deleted_events,
    insert_change_row,
    last_publication,
    make_change_row,
    next_publication_number,
)
from jobs.publishing.publication_record import time_of_next_publication
from jobs.publishing.publication_totals import (
    PublicationDifferences,
    UnreadablePublicationError,
    compare_with_live,
    read_totals,
)
from jobs.publishing.published_file import require_cleanly_closed, without_write_ahead_log
from jobs.publishing.shrink_rule import reasons_to_hold_publication
from jobs.settings import Settings
from jobs.warehouse.connection import Connection
from jobs.warehouse.job_runs import JobRun

HAS_CHANGES_TABLE: Final = """
    -- Whether the file has the table of changes, which public tables of earlier versions lack
    select true from duckdb_tables() where schema_name = 'recommendations' and table_name = 'changes'
"""


def judge_publication(
    connection: Connection,
    published_file: Path,
    new_file: Path,
    run_record: JobRun,
    settings: Settings,
    allow_shrink: bool,
) -> dict[str, Any]:
    """Compare a new file with the live file; hold the publication, or append its row of changes to the new file.

    The row belongs to the table ``publication_changes``. If the live file is missing or can't be read, the new file is
    compared with the warehouse's record of the last publication instead.

    Parameters
    ----------
    new_file : Path
        The new, verified file that is to be published.
    allow_shrink : bool
        Whether to publish the new file however many rows it lacks.

    Returns
    -------
    The row, by column name

    Raises
    ------
    NextmartError
        If the publication is held; its row is in ``ml.publication_changes`` then.
    """
    live, differences, problem = _live_publication_differences_and_problem(connection, published_file, new_file)
    new = read_totals(new_file)
    reasons = []
    if live:
        compared = _without_deleted_popularity(connection, live, settings)
        reasons = reasons_to_hold_publication(compared.totals, new, differences, settings)
    elif problem:
        reasons = [problem]
    outcome: Outcome = "published" if not reasons else "forced" if allow_shrink else "held"
    change_row = make_change_row(
        next_publication_number(connection),
        time_of_next_publication(connection),
        run_record.run_id,
        outcome=outcome,
        reasons=reasons,
        new_totals=new,
        live_publication=live,
        differences=differences,
    )
    run_record.detail = {"changes": {name: value for name, value in change_row.items() if name != "decided_at"}}
    if outcome == "held":
        insert_change_row(connection, "ml.publication_changes", change_row | {"published_file": str(published_file)})
        raise NextmartError(_held_message(published_file, reasons))
    if problem:
        say(f"WARN: {problem}. It is written anew.")
    _append_change_row(new_file, change_row)
    return change_row


def _append_change_row(new_file: Path, change_row: dict[str, Any]) -> None:
    """Write a publication's row and time to the new file, before it is published.

    The row goes to the table ``publication_changes``, and the time to ``changes``.
    """
    with duckdb.connect(str(new_file)) as file:
        insert_change_row(file, "recommendations.publication_changes", change_row)
        if file.execute(HAS_CHANGES_TABLE).fetchone():
            file.execute("update recommendations.changes set changed_at = ?", [change_row["decided_at"]])
        file.execute("checkpoint")
    require_cleanly_closed(new_file)


def _live_publication_differences_and_problem(
    connection: Connection, published_file: Path, new_file: Path
) -> tuple[Publication | None, PublicationDifferences | None, str | None]:
    """Return the live publication, the new file's differences from it, and what is wrong with the live file.

    Each of the three may be None. All are None if nothing was published before. The live publication is None if the
    live file can't be read and the warehouse has no record of it.
    """
    if not published_file.exists():
        if last := last_publication(connection, published_file):
            at = f"{last.published_at:%Y-%m-%d %H:%M}"
            return last, None, f"{published_file} is missing, though it was published at {at} UTC"
        return None, None, None
    try:
        with without_write_ahead_log(published_file):
            live = compare_with_live(published_file, new_file)
    except UnreadablePublicationError as error:
        return last_publication(connection, published_file), None, str(error)
    return Publication(live.publish_run_id, live.published_at, live.totals), live.differences, None


def _without_deleted_popularity(
    connection: Connection, live_publication: Publication, settings: Settings
) -> Publication:
    """Lower the popularity of the live publication for the events that `nextmart forget` has deleted since then.

    The most that these events can have added to it is subtracted: the largest event weight for each of them.
    """
    weights = settings.merged_vars()["event_weights"]
    deleted = count_deleted_events(connection, live_publication.published_at) * max([1.0, *weights.values()])
    return replace(
        live_publication,
        totals=replace(live_publication.totals, popularity=max(0.0, live_publication.totals.popularity - deleted)),
    )


def _held_message(published_file: Path, reasons: list[str]) -> str:
    lines = "".join(f"\n  - {reason}" for reason in reasons)
    return (
        f"nothing was published; {published_file} stays as it is, because the new tables lack too much of it:{lines}\n"
        "Look for what is missing: `nextmart status` shows counts and the newest rows. The next `nextmart run` tries "
        "again. If this is right, allow it once: `nextmart publish --allow-shrink`."
    )
