"""The placements of the simulated shop: their settings, and checks that their published lists keep the rules."""

import duckdb

from benchmarks.chaos.broken_rule import BrokenRule

EXCLUDED_CATEGORY = "garden"
MOST_OF_A_CATEGORY = 4
DAYS_WITHOUT_PURCHASES = 20
PINNED_ITEM = "item-003"

MAIL_SETTINGS = f"""
[placements.mail]
visitors = "sessions > 1 and last_seen_days < 20"
pins = {{ 1 = "{PINNED_ITEM}" }}
slots = {{ 3 = "first_seen_days <= 14" }}
boost = "if(category = 'kitchen', 1.3, 1)"
diversity = 0.3
k = 5
"""
HOME_SETTINGS = f"""
[placements.home]
items = "category <> '{EXCLUDED_CATEGORY}'"
max_per = {{ category = {MOST_OF_A_CATEGORY} }}
exclude = {{ event_types = ["purchase"], days = {DAYS_WITHOUT_PURCHASES} }}
"""
"""Settings of the placement ``home``, without the length of its lists (``k``), which changes on some nights."""

SELECT_LIST_ROWS = "from published.recommendations.placement_recommendations"

BROKEN_RULES = {
    "a list has its length and dense ranks": """
        from (
            select placement, visitor_id, list(rank order by rank) as ranks from list_rows group by all
        ) as found
        full join published.recommendations.placement_lists as lists using (placement, visitor_id)
        where found.ranks is distinct from nullif(range(1, lists.length + 1), []) or lists.length > lists.k
    """,
    "each visitor with a sequence has a list of home": """
        from sessions.latest_sequences
        anti join (from published.recommendations.placement_lists where placement = 'home') using (visitor_id)
    """,
    "an item comes once": "select placement, visitor_id, item_id from list_rows group by all having count(*) > 1",
    "nothing of the own sequence": """
        from list_rows join sessions.latest_sequences as latest using (visitor_id)
        where list_contains(latest.items, list_rows.item_id)
    """,
    "nothing unavailable or unknown": """
        from list_rows left join catalog.items as items using (item_id) where items.available is not true
    """,
    "home has nothing of the excluded category": f"""
        from list_rows join catalog.items as items using (item_id)
        where placement = 'home' and items.category = '{EXCLUDED_CATEGORY}'
    """,
    "home has few of a category": f"""
        select visitor_id from list_rows join catalog.items as items using (item_id)
        where placement = 'home' group by visitor_id, items.category having count(*) > {MOST_OF_A_CATEGORY}
    """,
    "home has nothing that the visitor has bought lately": f"""
        from list_rows join sessions.session_items as bought using (visitor_id, item_id)
        where
            placement = 'home' and bought.event_type = 'purchase' and bought.event_at
            > (select max(ended_at) from sessions.sessions) - interval {DAYS_WITHOUT_PURCHASES} days
    """,
    "mail has its pinned item first, unless it may not come": f"""
        select * from list_rows
        where placement = 'mail' and (item_id = '{PINNED_ITEM}') <> (rank = 1 and source = 'pin')
        union all
        select first_places.* from list_rows as first_places
        join sessions.latest_sequences as latest using (visitor_id)
        where
            placement = 'mail' and rank = 1 and first_places.item_id <> '{PINNED_ITEM}'
            and '{PINNED_ITEM}' in (select item_id from catalog.items where available)
            and not list_contains(latest.items, '{PINNED_ITEM}')
    """,
}
"""The rules of published lists: each rule in words, with SQL that finds the rows which break it."""


def check_placements(connection: duckdb.DuckDBPyConnection) -> None:
    """Check the lists of a new publication, which is attached as ``published``, against the warehouse.

    Raises
    ------
    BrokenRule
        If a list breaks a rule of its placement.
    """
    for name, query in BROKEN_RULES.items():
        if rows := connection.execute(
            f"with list_rows as ({SELECT_LIST_ROWS}), broken as ({query}) from broken"
        ).fetchmany(3):
            raise BrokenRule(f"placements: {name}", rows)
