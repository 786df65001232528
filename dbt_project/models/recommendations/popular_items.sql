with visitor_weights as (
    -- a visitor counts once for an item, by the event of largest weight, so that reloading its page can't make an
    -- item a bestseller
    select items.visitor_id, items.item_id, max({{ event_weight() }}) as weight
    from {{ ref('session_items') }} as items
    anti join {{ ref('bot_visitors') }} as bots on items.visitor_id = bots.visitor_id
    {% if var('sequence_event_types') -%}
    where items.event_type in ({{ text_list(var('sequence_event_types')) }})
    {% endif -%}
    group by items.visitor_id, items.item_id
),

item_scores as (
    select item_id, sum(weight) as score
    from visitor_weights
    group by item_id
)

select
    row_number() over (order by coalesce(item_scores.score, 0) desc, items.item_id)::integer as rank,
    items.item_id,
    items.title,
    coalesce(item_scores.score, 0)::double as score
from {{ ref('items') }} as items
left join item_scores on items.item_id = item_scores.item_id
where items.available
