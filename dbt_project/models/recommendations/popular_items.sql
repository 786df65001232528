with counted as (
    -- a visitor counts once an item, so that one reload loop can't make a bestseller
    select item_id, count(distinct visitor_id) as visitors
    from {{ ref('session_items') }}
    {% if var('sequence_event_types') %}
    where event_type in ({{ text_list(var('sequence_event_types')) }})
    {% endif %}
    group by item_id
)

select
    row_number() over (order by coalesce(counted.visitors, 0) desc, items.item_id)::integer as rank,
    items.item_id,
    items.title,
    coalesce(counted.visitors, 0)::double as score
from {{ ref('items') }} as items
left join counted on items.item_id = counted.item_id
where items.available
