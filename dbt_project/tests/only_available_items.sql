-- no recommended or similar item is withdrawn or absent from the catalogue
select chosen.visitor_id as for_whom, chosen.item_id
from {{ ref('visitor_recommendations') }} as chosen
left join {{ ref('items') }} as items on chosen.item_id = items.item_id
where items.item_id is null or not items.available

union all

select pairs.item_id, pairs.similar_item_id
from {{ ref('similar_items') }} as pairs
left join {{ ref('items') }} as items on pairs.similar_item_id = items.item_id
where items.item_id is null or not items.available
