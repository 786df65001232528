-- every recommended item, of placements too, and every similar item is in the catalogue and available
select recommended.visitor_id as for_whom, recommended.item_id
from {{ ref('visitor_recommendations') }} as recommended
left join {{ ref('items') }} as items on recommended.item_id = items.item_id
where items.item_id is null or not items.available

union all

select similar_pairs.item_id, similar_pairs.similar_item_id
from {{ ref('similar_items') }} as similar_pairs
left join {{ ref('items') }} as items on similar_pairs.similar_item_id = items.item_id
where items.item_id is null or not items.available

union all

select recommended.placement || ': ' || recommended.visitor_id as for_whom, recommended.item_id
from {{ ref('placement_recommendations') }} as recommended
left join {{ ref('items') }} as items on recommended.item_id = items.item_id
where items.item_id is null or not items.available
