{{ config(alias='items') }}

-- This model makes the table recommendations.items. The model can't be called items too, because the model of the table
-- catalog.items has that name.
with visitor_item_weights as (
    -- A visitor counts once for an item, with the event of largest weight, so that a visitor who reloads an item's page
    -- can't make it a bestseller. Bots, and events whose types are not in `sequence_event_types`, have no weight; they
    -- only count for first_event_at
    select
        items.item_id,
        min(items.event_at) as first_event_at,
        max({{ event_weight() }}) filter (
            where bots.visitor_id is null
            {% if var('sequence_event_types') -%}
            and items.event_type in ({{ text_literals(var('sequence_event_types')) }})
            {% endif -%}
        ) as weight
    from {{ ref('session_items') }} as items
    left join {{ ref('bot_visitors') }} as bots on items.visitor_id = bots.visitor_id
    group by items.visitor_id, items.item_id
),

item_totals as (
    select item_id, min(first_event_at) as first_event_at, sum(weight) as popularity
    from visitor_item_weights
    group by item_id
)

select
    items.item_id,
    items.title,
    items.brand,
    items.category,
    items.price,
    items.available,
    least(items.first_loaded_at, item_totals.first_event_at) as first_seen_at,
    coalesce(item_totals.popularity, 0)::double as popularity,
    items.attributes
from {{ ref('stg_items') }} as items
left join item_totals on items.item_id = item_totals.item_id
order by items.item_id
