"""The table ``ml.publication_changes``: for each publication, done or held, how it differs from the one before.

dbt shows the table as ``recommendations.publication_changes``. Each published file holds a copy that ends with the
file's own row.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from jobs.publishing.publication_totals import PublicationDifferences, PublicationTotals
from jobs.warehouse.connection import Connection, count_rows, quoted_name

Outcome = Literal["published", "forced", "held"]

PUBLIC_HISTORY: Final = "select * exclude (published_file) from ml.publication_changes order by publication_number"

SELECT_LAST_PUBLICATION_OF_FILE: Final = """
    select visitors, list_rows, items, similar_item_rows, popularity, mean_score, model_version, publish_run_id,
        decided_at
    from ml.publication_changes
    where published_file = ? and outcome <> 'held'
    order by publication_number desc
    limit 1
"""

SELECT_NEXT_PUBLICATION_NUMBER: Final = "select coalesce(max(publication_number), 0) + 1 from ml.publication_changes"

COUNT_DELETED_EVENTS: Final = "select coalesce(sum(usable_event_count), 0) from ml.deletions where deleted_at > ?"


@dataclass(frozen=True)
class Publication:
    """An earlier publication of a file, as ``ml.publication_changes`` records it."""

    publish_run_id: str
    published_at: datetime
    totals: PublicationTotals


def make_change_row(
    publication_number: int,
    decided_at: datetime,
    publish_run_id: str,
    *,
    outcome: Outcome,
    reasons: list[str],
    new_totals: PublicationTotals,
    live_publication: Publication | None,
    differences: PublicationDifferences | None,
) -> dict[str, Any]:
    """Return the row of ``ml.publication_changes`` for a publication, by column name.

    Parameters
    ----------
    decided_at : datetime
        When it was decided whether the new file is published.
    reasons : list of str
        Why the publication was held, or would have been held if the user had not forced it.
    live_publication : Publication or None
        The publication that is replaced; None if nothing is known of it.
    """
    live_totals = asdict(live_publication.totals) if live_publication else {}
    return {
        "publication_number": publication_number,
        "decided_at": decided_at,
        "publish_run_id": publish_run_id,
        "outcome": outcome,
        "reason": "; ".join(reasons) or None,
        "live_run_id": live_publication.publish_run_id if live_publication else None,
        **asdict(new_totals),
        **{f"live_{name}": value for name, value in live_totals.items()},
        **(asdict(differences) if differences else {}),
    }


def insert_change_row(connection: Connection, table: str, change_row: dict[str, Any]) -> None:
    """Append a row to a table of publication changes; values for which the table has no column are left out."""
    columns = {name for name, *_ in connection.execute(f"describe {table}").fetchall()}
    known = {name: value for name, value in change_row.items() if name in columns}
    names, places = ", ".join(map(quoted_name, known)), ", ".join("?" * len(known))
    connection.execute(f"insert into {table} ({names}) values ({places})", list(known.values()))  # noqa: S608


def is_publication_recorded(connection: Connection, publish_run_id: str) -> bool:
    """Tell whether ``ml.publication_changes`` has the publication of the run with this id."""
    found = connection.execute(
        "select true from ml.publication_changes where publish_run_id = ?", [publish_run_id]
    ).fetchone()
    return found is not None


def has_any_publication(connection: Connection) -> bool:
    """Tell whether the warehouse records any publication that was not held."""
    return count_rows(connection, "ml.publication_changes where outcome <> 'held'") > 0


def last_publication(connection: Connection, published_file: Path) -> Publication | None:
    """Return the last publication of this file that the warehouse records; None if there is none."""
    row = connection.execute(SELECT_LAST_PUBLICATION_OF_FILE, [str(published_file)]).fetchone()
    return Publication(row[7], row[8], PublicationTotals(*row[:7])) if row else None


def next_publication_number(connection: Connection) -> int:
    """Return the number for the next publication: one more than the highest ``publication_number`` recorded."""
    [number] = connection.execute(SELECT_NEXT_PUBLICATION_NUMBER).fetchone() or [1]
    return int(number)


def count_deleted_events(connection: Connection, since: datetime) -> int:
    """Return how many usable events ``nextmart forget`` has deleted since the time ``since``."""
    [count] = connection.execute(COUNT_DELETED_EVENTS, [since]).fetchone() or [0]
    return int(count)
