"""Due lists: lists of placements that have to be made anew, because something that determines them has changed.

Each list is kept with a hash of all that determines it: the model, the catalogue, what the rules say for the visitor's
group, and the visitor's own items. So a changed rule, item or visitor makes only those lists due that depend on it.
After many nights the lists are the same as if the last night had made all of them anew.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pyarrow as pa

from jobs.placements.placement import Placement, VisitorGroupRules
from jobs.warehouse.connection import Connection, count_rows, execute_and_fetch_number

CREATE_NEEDED_LISTS = """
    -- Every list that a placement needs, with the items that it must not hold, and what determines it
    create or replace temp table needed_lists (
        placement varchar, visitor_id varchar, arm varchar, group_number bigint, excluded varchar[], list_hash ubigint,
        popularity_hash varchar
    )
"""

INSERT_NEEDED_LISTS = """
    -- Adds a row for each visitor in `visitors_of_placement`; `excluded`: the items with which the visitor has had
    -- certain events lately, and the targets of the visitor's sequence unless repeats are allowed
    insert into needed_lists
    with recent_events as (
        select visitor_id, list(distinct item_id order by item_id) as items from sessions.session_items
        where list_contains($event_types, event_type) and event_at > $since
        group by visitor_id
    ),
    visitors as (
        select
            scope.visitor_id, {arm} as arm, scope.group_number, sequences.items as sequence,
            list_concat(
                coalesce(recent_events.items, []), case when not $repeats then coalesce({target_items}, []) else [] end
            ) as excluded
        from visitors_of_placement as scope
        left join sessions.latest_sequences as sequences on scope.visitor_id = sequences.visitor_id
        left join recent_events on scope.visitor_id = recent_events.visitor_id
    )
    select
        $placement, visitors.visitor_id, visitors.arm, visitors.group_number, visitors.excluded,
        hash([group_hashes.content_hash, hash(visitors.sequence)::varchar, hash(visitors.excluded)::varchar]),
        group_hashes.popularity_hash
    from visitors
    inner join group_hashes on visitors.group_number = group_hashes.group_number and visitors.arm = group_hashes.arm
"""

CREATE_DUE_LISTS = """
    -- Needed lists that are missing, or whose content, popularity or arm has changed. The popularity_hash is null for a
    -- kept list that does not depend on popularity
    create or replace temp table due_lists as
    select scoped.*
    from needed_lists as scoped
    left join ml.placement_lists as kept on scoped.placement = kept.placement and scoped.visitor_id = kept.visitor_id
    where scoped.list_hash is distinct from kept.list_hash
        or kept.popularity_hash <> scoped.popularity_hash
        or kept.arm <> scoped.arm
"""

DELETE_UNNEEDED_LISTS = """
    -- Lists of visitors who have left a placement's scope, and of placements that the settings no longer have
    delete from ml.{table}
    where (placement, visitor_id) not in (select (placement, visitor_id) from needed_lists)
"""


def find_exclusion_start(newest_event_at: datetime | None, placement: Placement) -> datetime | None:
    """Return the time after which events count for the placement's key ``exclude``; None if it excludes nothing."""
    exclude = placement.settings.exclude
    return newest_event_at - timedelta(days=exclude.days) if exclude and newest_event_at else None


def create_needed_lists_table(connection: Connection) -> None:
    """Create the empty temporary table ``needed_lists``, for all lists that the placements need."""
    connection.execute(CREATE_NEEDED_LISTS)


def add_needed_lists(
    connection: Connection,
    placement: Placement,
    visitor_group_rules_by_arm: Mapping[str, Sequence[VisitorGroupRules]],
    exclusion_start: datetime | None,
    arm_sql: str,
    target_items_sql: str,
) -> None:
    """Add the lists of the visitors in the table ``visitors_of_placement`` to the temporary table ``needed_lists``.

    Parameters
    ----------
    placement : Placement
        The placement that ``visitors_of_placement`` was made for.
    visitor_group_rules_by_arm : arm -> sequence of VisitorGroupRules
        What the rules say for each group of visitors, in the order of group numbers.
    exclusion_start : datetime or None
        Time after which events count for the key ``exclude``.
    arm_sql : str
        SQL of the arm of the visitor ``scope.visitor_id``.
    target_items_sql : str
        SQL of the targets of the relation ``sequences`` (:func:`jobs.warehouse.reading.target_items_sql`).
    """
    rows = [
        (of_arm, number, group.list_inputs_hash, group.popularity_hash)
        for of_arm, of_numbers in visitor_group_rules_by_arm.items()
        for number, group in enumerate(of_numbers)
    ]
    types = pa.schema(
        [
            ("arm", pa.string()),
            ("group_number", pa.int64()),
            ("content_hash", pa.string()),
            ("popularity_hash", pa.string()),
        ]
    )
    hashes = {name: [row[place] for row in rows] for place, name in enumerate(types.names)}
    connection.register("group_hashes", pa.table(hashes, types))
    connection.execute(
        INSERT_NEEDED_LISTS.format(arm=arm_sql, target_items=target_items_sql),
        {
            "placement": placement.name,
            "event_types": placement.settings.exclude.event_types
            if exclusion_start and placement.settings.exclude
            else [],
            "since": exclusion_start,
            "repeats": placement.allow_repeats,
        },
    )
    connection.unregister("group_hashes")


def create_due_lists_table(connection: Connection) -> int:
    """Fill the temporary table ``due_lists`` with the lists to make anew; return their number."""
    connection.execute(CREATE_DUE_LISTS)
    return count_rows(connection, "due_lists")


def delete_unneeded_lists(connection: Connection) -> int:
    """Delete the lists that no placement needs any more; return their number."""
    connection.execute(DELETE_UNNEEDED_LISTS.format(table="placement_recommendations"))
    return execute_and_fetch_number(connection, DELETE_UNNEEDED_LISTS.format(table="placement_lists"))
