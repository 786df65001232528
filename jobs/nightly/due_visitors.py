"""Due visitors: visitors whose lists have to be made anew, because their sequence or their arm has changed."""

from jobs.dbt_vars import JobVars
from jobs.warehouse.connection import Connection, count_rows
from jobs.warehouse.reading import target_items_sql

CREATE_DUE_VISITORS = """
    -- Visitors whose latest sequence, or arm, differs from the one that their kept list was made from. The column items
    -- is null for a visitor whose events have all been deleted
    create or replace temp table due_visitors as
    with latest_sequences as (
        select visitor_id, {columns}, hash({columns}) as sequence_hash, {arm} as arm from sessions.latest_sequences
    ),
    kept_lists as (
        select distinct visitor_id, sequence_hash, arm from ml.recommendations where run_id = $run_id_of_kept_lists
    )
    select
        coalesce(latest_sequences.visitor_id, kept_lists.visitor_id) as visitor_id,
        latest_sequences.* exclude (visitor_id),
        kept_lists.visitor_id is not null as has_rows
    from latest_sequences full join kept_lists on latest_sequences.visitor_id = kept_lists.visitor_id
    where latest_sequences.sequence_hash is distinct from kept_lists.sequence_hash
        or latest_sequences.arm <> kept_lists.arm
        or ($control_is_due and latest_sequences.arm = 'control')
    order by visitor_id
"""

REMOVE_SATED_VISITORS = """
    -- Removes visitors whose targets are all available items: they get no rows, so they would be due every night
    with available_items as (select item_id from catalog.items where available),
    sated_visitors as (
        select visitor_id
        from (
            select visitor_id, unnest({target_items}) as item_id from due_visitors
            where not has_rows and len(items) >= (select count(*) from available_items)
        )
        semi join available_items using (item_id)
        group by visitor_id
        having count(distinct item_id) = (select count(*) from available_items)
    )
    delete from due_visitors
    where not has_rows and (
        (select count(*) from available_items) = 0
        or (not $allow_repeats and visitor_id in (select visitor_id from sated_visitors))
    )
"""


def create_due_visitors_table(
    connection: Connection,
    run_id_of_kept_lists: str | None,
    dbt_vars: JobVars,
    arm_sql: str,
    *,
    is_whole_control_due: bool,
) -> int:
    """Fill the temporary table ``due_visitors`` with the visitors who need new lists; return their number.

    Parameters
    ----------
    run_id_of_kept_lists : str or None
        The earlier run of the job recommend: visitors who are not due keep its lists. None: every visitor is due.
    arm_sql : str
        SQL of a visitor's arm (:func:`jobs.nightly.arms.arm_sql`).
    is_whole_control_due : bool
        Whether all visitors of the control are due, because something that determines the control's lists has changed.
    """
    connection.execute(
        CREATE_DUE_VISITORS.format(columns="items, is_target" if dbt_vars.target_event_types else "items", arm=arm_sql),
        {"run_id_of_kept_lists": run_id_of_kept_lists, "control_is_due": is_whole_control_due},
    )
    connection.execute(
        REMOVE_SATED_VISITORS.format(target_items=target_items_sql(dbt_vars, "due_visitors")),
        {"allow_repeats": dbt_vars.allow_repeats},
    )
    return count_rows(connection, "due_visitors")
