"""Visitors who are due: their lists have to be made anew, because their sequences changed since the kept run."""

from jobs.warehouse.connection import Connection, count_rows

DUE_VISITORS = """
    -- Visitors whose latest sequence is not the one that their kept list was made from. The column items is null if all
    -- events of the visitor are gone
    create or replace temp table due_visitors as
    with latest as (select visitor_id, items, hash(items) as sequence_hash from sessions.latest_sequences),
    kept as (select distinct visitor_id, sequence_hash from ml.recommendations where run_id = $kept_run_id)
    select
        coalesce(latest.visitor_id, kept.visitor_id) as visitor_id, latest.items, latest.sequence_hash,
        kept.visitor_id is not null as has_rows
    from latest full join kept on latest.visitor_id = kept.visitor_id
    where latest.sequence_hash is distinct from kept.sequence_hash
"""

SATED_VISITORS = """
    -- Visitors who have seen every available item: skipped, or they would be due every night, as they get no rows
    with stock as (select item_id from catalog.items where available),
    sated as (
        select visitor_id
        from (
            select visitor_id, unnest(items) as item_id from due_visitors
            where not has_rows and len(items) >= (select count(*) from stock)
        )
        semi join stock using (item_id)
        group by visitor_id
        having count(distinct item_id) = (select count(*) from stock)
    )
    delete from due_visitors
    where not has_rows and (
        (select count(*) from stock) = 0 or (not $allow_repeats and visitor_id in (select visitor_id from sated))
    )
"""


def find_due_visitors(connection: Connection, kept_run_id: str | None, allow_repeats: bool) -> int:
    """Fill the temporary table ``due_visitors`` with the visitors whose lists have to be made anew; return how many.

    Parameters
    ----------
    kept_run_id : str or None
        The run whose rows are kept for visitors who are not due; None: no rows are kept, so every visitor is due.
    allow_repeats : bool
        Whether a list may contain items of the visitor's own sequence.
    """
    connection.execute(DUE_VISITORS, {"kept_run_id": kept_run_id})
    connection.execute(SATED_VISITORS, {"allow_repeats": allow_repeats})
    return count_rows(connection, "due_visitors")
