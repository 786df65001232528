"""Records a publication in the warehouse: a row in ``ml.publication_changes``, and its lists in ``ml.published_lists``.

``ml.published_lists`` keeps each list with the time in which it was live. Both tables are written in one transaction,
from the published file itself, once the file is in its place. If a process was killed before that transaction, the row
is missing, and the next command records the publication with the time that the file holds, or with a later one if
another file has been published since then.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from jobs.publishing.publication_history import (
    insert_change_row,
    is_publication_recorded,
    next_publication_number,
)
from jobs.publishing.publication_totals import UnreadablePublicationError, read_own_change_row, sql_of_lists_with_arms
from jobs.publishing.published_file import without_write_ahead_log
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection, literal, transaction

SELECT_NEWEST_TIME: Final = "select max(decided_at) from ml.publication_changes"

CREATE_LIVE_LISTS: Final = """
    -- The lists of the published file
    create or replace temp table live_lists as
    with published_rows as (
        select 'default' as placement, visitor_id, rank, item_id, model_version, source, arm from {visitors}
        {placements}
    ),

    -- a copy of the warehouse that was restored may lack the model that made the lists
    families_of_file as (
        select model_version, min(source) as family from published_rows
        where source not in ('popularity', 'pin')
        group by model_version
    )

    select
        published_rows.placement, published_rows.visitor_id, published_rows.rank, published_rows.item_id,
        coalesce(models.model, families_of_file.family, 'popularity') as model,
        published_rows.model_version, published_rows.source,
        coalesce(published_rows.arm, 'model') as arm
    from published_rows
    left join ml.models as models on published_rows.model_version = models.model_version
    left join families_of_file on published_rows.model_version = families_of_file.model_version
"""

LISTS_OF_PLACEMENTS: Final = """
    union all by name
    select placement, visitor_id, rank, item_id, model_version, source, arm from {placements}
"""

HAS_PLACEMENTS: Final = """
    select true from duckdb_tables()
    where database_name = 'published_file' and schema_name = 'recommendations'
        and table_name = 'placement_recommendations'
"""

CREATE_CHANGED_LISTS: Final = """
    -- Lists that the new publication has changed: at least one of their places differs from the publication before
    create or replace temp table changed_lists as
    select distinct
        coalesce(live_lists.placement, open_lists.placement) as placement,
        coalesce(live_lists.visitor_id, open_lists.visitor_id) as visitor_id
    from live_lists
    full join (from ml.published_lists where live_until is null) as open_lists
        on live_lists.placement = open_lists.placement
        and live_lists.visitor_id = open_lists.visitor_id
        and live_lists.rank = open_lists.rank
    where (live_lists.item_id, live_lists.model_version, live_lists.source, live_lists.arm)
        is distinct from (open_lists.item_id, open_lists.model_version, open_lists.source, open_lists.arm)
"""

CLOSE_CHANGED_LISTS: Final = """
    update ml.published_lists set live_until = $published_at
    where live_until is null and (placement, visitor_id) in (select (placement, visitor_id) from changed_lists)
"""

OPEN_CHANGED_LISTS: Final = """
    insert into ml.published_lists by name
    select live_lists.*, $published_at as live_from
    from live_lists
    semi join changed_lists
        on live_lists.placement = changed_lists.placement and live_lists.visitor_id = changed_lists.visitor_id
    order by live_lists.placement, live_lists.visitor_id, live_lists.rank
"""


def time_of_next_publication(connection: Connection) -> datetime:
    """Return the time for a new publication: now, or just after the newest publication if the clock is behind that."""
    newest, present = _newest_publication_time(connection), now()
    return max(present, newest + timedelta(microseconds=1)) if newest else present


def _newest_publication_time(connection: Connection) -> datetime | None:
    row = connection.execute(SELECT_NEWEST_TIME).fetchone()
    return row[0] if row else None


def record_publication(connection: Connection, published_file: Path, change_row: dict[str, Any]) -> None:
    """Record in the warehouse the publication that is in the published file.

    Parameters
    ----------
    change_row : dict
        The publication's row for ``ml.publication_changes``. The lists that the publication has changed are live from
        its ``decided_at`` on.
    """
    connection.execute(f"attach {literal(str(published_file))} as published_file (read_only)")
    try:
        public = "published_file.recommendations"
        visitors, placements = (
            sql_of_lists_with_arms(f"{public}.{name}_recommendations") for name in ("visitor", "placement")
        )
        of_placements = LISTS_OF_PLACEMENTS.format(placements=placements)
        if not connection.execute(HAS_PLACEMENTS).fetchone():  # a file of an earlier version has no such table
            of_placements = ""
        with transaction(connection):
            insert_change_row(
                connection, "ml.publication_changes", change_row | {"published_file": str(published_file)}
            )
            live_lists = CREATE_LIVE_LISTS.format(visitors=visitors, placements=of_placements)
            connection.execute(f"{live_lists}; {CREATE_CHANGED_LISTS}")
            published_at = {"published_at": change_row["decided_at"]}
            connection.execute(CLOSE_CHANGED_LISTS, published_at)
            connection.execute(OPEN_CHANGED_LISTS, published_at)
    finally:
        connection.execute("drop table if exists live_lists; drop table if exists changed_lists; detach published_file")


def record_publication_if_missing(connection: Connection, published_file: Path) -> None:
    """Record the publication that the published file holds, if the warehouse has no record of it.

    That is so if `nextmart publish` was killed after it had replaced the file.

    Nothing is recorded of a file that can't be read, or that nextmart hasn't published: the gate of the next
    publication judges such a file.
    """
    published_file = published_file.resolve()
    if not published_file.exists():
        return
    with without_write_ahead_log(published_file):
        try:
            change_row = read_own_change_row(published_file)
        except UnreadablePublicationError:
            return
        if change_row and not is_publication_recorded(connection, change_row["publish_run_id"]):
            record_publication(connection, published_file, _after_all_recorded(connection, change_row))


def _after_all_recorded(connection: Connection, change_row: dict[str, Any]) -> dict[str, Any]:
    """Return the row of an unrecorded publication, with a number and time after those of all recorded publications.

    The publication keeps its own number and time, unless another file has been published since then.
    """
    number, newest_time = next_publication_number(connection), _newest_publication_time(connection)
    is_newest = newest_time is None or change_row["decided_at"] > newest_time
    if change_row["publication_number"] >= number and is_newest:
        return change_row
    return change_row | {"publication_number": number, "decided_at": time_of_next_publication(connection)}
