"""What must be true of published tables, held against the warehouse that they were made from."""

from collections.abc import Callable

INVARIANTS = {
    "every visitor with a sequence has k items, or all that are left": """
        with left_over as (
            select latest.visitor_id, count(*) as items
            from latest, catalog.items as items
            where items.available and not list_contains(latest.items, items.item_id)
            group by latest.visitor_id
        ), lists as (select visitor_id, count(*) as length from chosen group by visitor_id)
        from left_over full join lists using (visitor_id)
        where lists.length is distinct from least($k, left_over.items)
    """,
    "ranks are dense": """
        select visitor_id from chosen group by visitor_id
        having list(rank order by rank) <> range(1, count(*) + 1)
    """,
    "an item comes once": "select visitor_id, item_id from chosen group by all having count(*) > 1",
    "scores are finite": "from chosen where score is null or not isfinite(score)",
    "a better rank never has a lower score, and equal scores are in the order of item_id": """
        from (
            select *, lag(score) over by_rank as better_score, lag(item_id) over by_rank as better_item_id
            from chosen
            window by_rank as (partition by visitor_id, source order by rank)
        )
        where score > better_score or (score = better_score and item_id < better_item_id)
    """,
    "popular items fill up only after the model's own": """
        from chosen as filled join chosen as own using (visitor_id)
        where filled.source = 'popularity' and own.source <> 'popularity' and filled.rank < own.rank
    """,
    "nothing of the own sequence": """
        from chosen join latest using (visitor_id) where list_contains(latest.items, chosen.item_id)
    """,
    "nothing unavailable or unknown": """
        from chosen left join catalog.items as items using (item_id) where items.available is not true
    """,
    "one model, the live one": """
        from chosen where model_version is distinct from (select model_version from ml.models where status = 'live')
    """,
    "the reason is an item of the visitor's sequence": """
        from chosen join latest using (visitor_id) where not list_contains(latest.items, reason_item_id)
    """,
    "titles are the items' own": """
        from chosen join catalog.items as items using (item_id) where items.title <> chosen.title
    """,
    "the wide table holds the same items": """
        (from wide except from first_places) union all (from first_places except from wide)
    """,
    "similar items are other, available ones": """
        from published.recommendations.similar_items as pairs
        left join catalog.items as items on pairs.similar_item_id = items.item_id
        where pairs.item_id = pairs.similar_item_id or items.available is not true
    """,
    "every embedded item has its similar ones": """
        from catalog.item_embeddings left join published.recommendations.similar_items using (item_id)
        where rank is null
    """,
}

VIEWS = """
    with chosen as (from published.recommendations.visitor_recommendations),
    latest as (
        from sessions.sequences
        qualify row_number() over (partition by visitor_id order by ended_at desc, sequence_id desc) = 1
    ),
    first_places as (select visitor_id, 'item_' || rank as place, item_id from chosen where rank <= 20),
    wide as (
        select visitor_id, place, item_id
        from (
            unpivot published.recommendations.visitor_recommendations_wide
            on columns('item_') into name place value item_id
        )
    ),
    broken as ({query})
    from broken
"""


def broken_invariants(rows: Callable[..., list[tuple]], k: int) -> dict[str, list[tuple]]:
    """Return the invariants that the published tables break, with the rows that do.

    Parameters
    ----------
    rows : callable
        Runs a query, with parameters by name, on the warehouse with the published file attached as ``published``.
    k : int
        The length of a whole list of recommendations.
    """
    found = {
        name: rows(VIEWS.format(query=query), **({"k": k} if "$k" in query else {}))
        for name, query in INVARIANTS.items()
    }
    return {name: rows for name, rows in found.items() if rows}
