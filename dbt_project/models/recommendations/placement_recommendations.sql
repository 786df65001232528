-- depends_on: {{ ref('place_items') }}

select
    list_rows.placement,
    list_rows.visitor_id,
    list_rows.rank,
    list_rows.item_id,
    items.title,
    items.brand,
    items.category,
    items.price::double as price,
    items.available,
    list_rows.score,
    list_rows.source,
    list_rows.reason_item_id,
    {{ reason_in_words('list_rows', 'reason_items') }} as reason,
    lists.model_version,
    lists.generated_at,
    lists.arm
from {{ source('ml', 'placement_recommendations') }} as list_rows
inner join {{ source('ml', 'placement_lists') }} as lists
    on list_rows.placement = lists.placement and list_rows.visitor_id = lists.visitor_id
left join {{ ref('items') }} as items on list_rows.item_id = items.item_id
left join {{ ref('items') }} as reason_items on list_rows.reason_item_id = reason_items.item_id
order by list_rows.placement, list_rows.visitor_id, list_rows.rank
