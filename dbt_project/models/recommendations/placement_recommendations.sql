-- depends_on: {{ ref('place_items') }}

select
    recommended.placement,
    recommended.visitor_id,
    recommended.rank,
    recommended.item_id,
    items.title,
    items.brand,
    items.category,
    items.price::double as price,
    items.available,
    recommended.score,
    recommended.source,
    recommended.reason_item_id,
    {{ reason_in_words('recommended', 'reason_items') }} as reason,
    lists.model_version,
    lists.generated_at,
    lists.arm
from {{ source('ml', 'placement_recommendations') }} as recommended
inner join {{ source('ml', 'placement_lists') }} as lists
    on recommended.placement = lists.placement and recommended.visitor_id = lists.visitor_id
left join {{ ref('items') }} as items on recommended.item_id = items.item_id
left join {{ ref('items') }} as reason_items on recommended.reason_item_id = reason_items.item_id
order by recommended.placement, recommended.visitor_id, recommended.rank
