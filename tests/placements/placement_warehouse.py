"""A tiny warehouse with what rules of placements read: attributes, history, sessions, embeddings."""

from tiny_warehouse import TinyWarehouse, items_of, rings

from jobs.settings import Settings

HISTORY = rings(60)
ITEMS = items_of(HISTORY)
MODELS = ["popularity", "llmseqsim"]

TABLES = """
    create or replace table catalog.items as
    select
        item_id, 'Title of ' || item_id as title, 'brand ' || left(item_id, 2) as brand,
        'category ' || right(item_id, 1) as category, null::varchar as description,
        (10 * row_number() over (order by item_id))::double as price, true as available,
        timestamptz '2026-01-01' as updated_at,
        json_object('country', if(hash(item_id) % 2 = 0, 'DE', 'FR'), 'margin', 0.1 * (hash(item_id) % 7)) as attributes
    from (select unnest($items) as item_id);
    create or replace table recommendations.items as
    select item_id, timestamptz '2026-01-01' + to_days((hash(item_id) % 20)::int) as first_seen_at from catalog.items;
    create or replace table catalog.attribute_types as
    from (values ('item', 'country', 'text'), ('item', 'margin', 'number'), ('visitor', 'country', 'text'),
        ('visitor', 'age', 'number')) as types(subject, name, type);
    create or replace table catalog.visitors as
    select visitor_id, json_object('country', ['DE', 'FR', 'IT'][number % 3 + 1], 'age', 20 + number % 5) as attributes
    from (select visitor_id, row_number() over (order by visitor_id) as number from sessions.sequences)
    union all
    select 'stranger', json_object('country', 'DE');
    create or replace table sessions.bot_visitors as select 'robot' as visitor_id where false;
    create or replace view sessions.session_items as
    select visitor_id, unnest(items) as item_id, unnest(event_times) as event_at,
        if(generate_subscripts(items, 1) % 3 = 0, 'purchase', 'view') as event_type
    from sessions.sequences;
    create or replace view sessions.sessions as
    select visitor_id, false as is_bot, len(items) as event_count, 1 as purchase_count,
        event_times[1] as started_at, ended_at
    from sessions.sequences;
    create or replace view recommendations.popular_items as
    select row_number() over (order by score desc, item_id) as rank, item_id, score
    from (
        select items.item_id, count(used.item_id)::double as score from catalog.items as items
        left join sessions.session_items as used on items.item_id = used.item_id
        where items.available group by items.item_id
    );
"""


def placement_warehouse() -> TinyWarehouse:
    """Return the warehouse, with embeddings and no model."""
    warehouse = TinyWarehouse()
    warehouse.fill(HISTORY, ITEMS)
    for statement in warehouse.connection.extract_statements(TABLES):
        parameters = {"items": ITEMS} if "$items" in statement.query else {}
        warehouse.connection.execute(statement.query, parameters)
    warehouse.connection.execute(
        "insert into catalog.item_embeddings "
        "select item_id, list_transform(range(384), lambda place: sin(hash(item_id) % 1000 * place)), item_id "
        "from catalog.items"
    )
    return warehouse


def setting(**placements) -> Settings:
    return Settings(models=MODELS, placements=placements)


def lists(warehouse: TinyWarehouse, placement: str) -> dict[str, list[str]]:
    """Return each visitor's list of a placement."""
    return dict(
        warehouse.rows(
            "select visitor_id, list(item_id order by rank) from ml.placement_recommendations "
            "where placement = $placement group by visitor_id",
            placement=placement,
        )
    )
