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
    deleted_events,
    insert_change,
    last_publication,
    next_number,
    publication_change,
)
from jobs.publishing.publication_record import publication_time
from jobs.publishing.publication_totals import Differences, UnreadableError, compare_with_live, totals_of
from jobs.publishing.published_file import require_closed, without_logs_of_writers
from jobs.publishing.shrink_rule import reasons_to_hold
from jobs.settings import Settings
from jobs.warehouse.connection import Connection
from jobs.warehouse.job_runs import JobRun

HAS_CHANGES: Final = """
    -- Whether the file has the table of changes, which public tables of earlier versions lack
    select true from duckdb_tables() where schema_name = 'recommendations' and table_name = 'changes'
"""


def judge_publication(
    connection: Connection,
    published_file: Path,
    copy: Path,
    run_record: JobRun,
    settings: Settings,
    allow_shrink: bool,
) -> dict[str, Any]:
    """Compare a new file with the live file, and append a row of ``publication_changes`` to it; return the row.

    If the live file is missing or can't be read, the warehouse's record of the last publication stands for it.

    Parameters
    ----------
    copy : Path
        The new, verified file that is to be published.
    allow_shrink : bool
        Whether to publish the new file however many rows it lacks.

    Raises
    ------
    NextmartError
        If the publication is held; its row is in ``ml.publication_changes`` then.
    """
    live, differences, problem = _live_publication(connection, published_file, copy)
    new = totals_of(copy)
    reasons = []
    if live:
        compared = _without_deleted_popularity(connection, live, settings)
        reasons = reasons_to_hold(compared.totals, new, differences, settings)
    elif problem:
        reasons = [problem]
    outcome: Outcome = "published" if not reasons else "forced" if allow_shrink else "held"
    change = publication_change(
        next_number(connection),
        publication_time(connection),
        run_record.run_id,
        outcome=outcome,
        reasons=reasons,
        new=new,
        live=live,
        differences=differences,
    )
    run_record.detail = {"changes": {name: value for name, value in change.items() if name != "decided_at"}}
    if outcome == "held":
        insert_change(connection, "ml.publication_changes", change | {"published_file": str(published_file)})
        raise NextmartError(_held_message(published_file, reasons))
    if problem:
        say(f"WARN: {problem}. It is written anew.")
    _append_row(copy, change)
    return change


def _append_row(copy: Path, change: dict[str, Any]) -> None:
    """Write a publication's row and time to the new file, before it is published.

    The row goes to the table ``publication_changes``, and the time to ``changes``.
    """
    with duckdb.connect(str(copy)) as file:
        insert_change(file, "recommendations.publication_changes", change)
        if file.execute(HAS_CHANGES).fetchone():
            file.execute("update recommendations.changes set changed_at = ?", [change["decided_at"]])
        file.execute("checkpoint")
    require_closed(copy)


def _live_publication(
    connection: Connection, published_file: Path, copy: Path
) -> tuple[Publication | None, Differences | None, str | None]:
    """Return the live publication, the differences of the copy from it, and what is wrong with the live file.

    All three are None if nothing was published before. The live publication is None if nothing is known of it.
    """
    if not published_file.exists():
        if last := last_publication(connection, published_file):
            at = f"{last.published_at:%Y-%m-%d %H:%M}"
            return last, None, f"{published_file} is missing, though it was published at {at} UTC"
        return None, None, None
    try:
        with without_logs_of_writers(published_file):
            live = compare_with_live(published_file, copy)
    except UnreadableError as error:
        return last_publication(connection, published_file), None, str(error)
    return Publication(live.run_id, live.published_at, live.totals), live.differences, None


def _without_deleted_popularity(connection: Connection, live: Publication, settings: Settings) -> Publication:
    """Subtract from the live popularity the most that events deleted by ``nextmart forget`` can have added to it."""
    weights = settings.merged_vars()["event_weights"]
    deleted = deleted_events(connection, live.published_at) * max([1.0, *weights.values()])
    return replace(live, totals=replace(live.totals, popularity=max(0.0, live.totals.popularity - deleted)))


def _held_message(published_file: Path, reasons: list[str]) -> str:
    lines = "".join(f"\n  - {reason}" for reason in reasons)
    return (
        f"nothing was published; {published_file} stays as it is, because the new tables lack too much of it:{lines}\n"
        "Look for what is missing: `nextmart status` shows counts and the newest rows. The next `nextmart run` tries "
        "again. If this is right, allow it once: `nextmart publish --allow-shrink`."
    )
