"""Records a publication in the warehouse: its row of ``publication_changes``, and which lists are live since when.

``ml.published_lists`` keeps each list with the time in which it was live. It is written from the published file itself,
once that file is in its place, and in one transaction with the publication's row. So a publication whose process was
killed before that is found by the row that is missing, and is recorded by the next command, with the file's own time.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from jobs.publishing.publication_history import insert_change, is_known
from jobs.publishing.publication_totals import UnreadableError, lists_with_arms, own_change
from jobs.publishing.published_file import without_logs_of_writers
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection, literal, transaction

NEWEST_TIME: Final = "select max(decided_at) from ml.publication_changes"

CREATE_LIVE_LISTS: Final = """
    -- The lists of the published file
    create or replace temp table live_lists as
    with published_rows as (
        select 'default' as placement, visitor_id, rank, item_id, model_version, source, arm from {visitors}
        {placements}
    )
    select
        published_rows.placement, published_rows.visitor_id, published_rows.rank, published_rows.item_id,
        coalesce(models.model, 'popularity') as model, published_rows.model_version, published_rows.source,
        coalesce(published_rows.arm, 'model') as arm
    from published_rows
    left join ml.models as models on published_rows.model_version = models.model_version
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
    -- Lists of which a place differs between the publication before and this one
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


def publication_time(connection: Connection) -> datetime:
    """Return the time of a publication: the present, or just after the newest publication where that is later."""
    newest = connection.execute(NEWEST_TIME).fetchone()
    present = now()
    return max(present, newest[0] + timedelta(microseconds=1)) if newest and newest[0] else present


def record_publication(connection: Connection, published_file: Path, change: dict[str, Any]) -> None:
    """Record the publication whose file is in its place: its row, and the lists that it has changed.

    Parameters
    ----------
    change : dict
        The publication's row of ``publication_changes``; its ``decided_at`` is the time from which new lists are live.
    """
    connection.execute(f"attach {literal(str(published_file))} as published_file (read_only)")
    try:
        public = "published_file.recommendations"
        visitors, placements = (
            lists_with_arms(f"{public}.{name}_recommendations") for name in ("visitor", "placement")
        )
        of_placements = LISTS_OF_PLACEMENTS.format(placements=placements)
        if not connection.execute(HAS_PLACEMENTS).fetchone():  # an earlier version published the file
            of_placements = ""
        with transaction(connection):
            insert_change(connection, "ml.publication_changes", change | {"published_file": str(published_file)})
            live_lists = CREATE_LIVE_LISTS.format(visitors=visitors, placements=of_placements)
            connection.execute(f"{live_lists}; {CREATE_CHANGED_LISTS}")
            published_at = {"published_at": change["decided_at"]}
            connection.execute(CLOSE_CHANGED_LISTS, published_at)
            connection.execute(OPEN_CHANGED_LISTS, published_at)
    finally:
        connection.execute("drop table if exists live_lists; drop table if exists changed_lists; detach published_file")


def record_if_unrecorded(connection: Connection, published_file: Path) -> None:
    """Record the publication of the live file, if a publish was killed after the swap, before it recorded that.

    A file that can't be read, or that nextmart hasn't published, is left to the gate of the next publication.
    """
    published_file = published_file.resolve()
    if not published_file.exists():
        return
    with without_logs_of_writers(published_file):
        try:
            change = own_change(published_file)
        except UnreadableError:
            return
        if change and not is_known(connection, change["publish_run_id"]):
            record_publication(connection, published_file, change)
