"""Public tables of a small shop, of any size, as a night would have made them."""

from jobs.warehouse.connection import Connection

TABLES = """
    create schema if not exists recommendations;
    -- visitors v0, v1, … have `length` items each, from the item of their own number on
    create or replace table recommendations.visitor_recommendations as
    select 'v' || visitor as visitor_id, rank::integer as rank, 'i' || (visitor + rank + {shift}) % {items} as item_id,
        'Title' as title, 1 / rank as score, 'llmseqsim' as source, 'i0' as reason_item_id, 'because' as reason,
        'llmseqsim' as model, '{model_version}' as model_version, now() as generated_at
    from range({first_visitor}, {first_visitor} + {visitors}) as visitors (visitor)
    cross join range(1, {length} + 1) as ranks (rank)
    where {items} > 0;
    create or replace table recommendations.visitor_recommendations_wide as
    select visitor_id, min(item_id) as item_1, max(model_version) as model_version
    from recommendations.visitor_recommendations group by visitor_id;
    create or replace table recommendations.similar_items as
    select 'i' || item as item_id, rank::integer as rank, 'i' || (item + rank) % {items} as similar_item_id,
        'Title' as title, 'Title' as similar_title, 0.5 as score, 'minilm' as embedding_model
    from range({items}) as items (item) cross join range(1, 3) as ranks (rank);
    create or replace table recommendations.popular_items as
    select (item + 1)::integer as rank, 'i' || item as item_id, 'Title' as title, {popularity} / {items} as score
    from range({items}) as items (item);
    create or replace table recommendations.model_leaderboard as
    select 'llmseqsim' as model, '{model_version}' as model_version, 'ndcg' as metric, 20 as k, 0.5 as value;
"""


def make_public_tables(
    connection: Connection,
    *,
    visitors: int = 100,
    items: int = 60,
    length: int = 5,
    first_visitor: int = 0,
    shift: int = 0,
    popularity: float = 1000.0,
    model_version: str = "llmseqsim-1",
) -> None:
    """Replace the public tables; ``shift`` moves every list by so many items, ``popularity`` is the sum of scores."""
    sizes = {
        "visitors": visitors, "items": items, "length": length, "first_visitor": first_visitor, "shift": shift,
        "popularity": popularity, "model_version": model_version,
    }  # fmt: skip
    connection.execute(TABLES.format(**sizes))
