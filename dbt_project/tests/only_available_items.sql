-- Every recommended item and every similar item is in the catalogue and available, in the lists of placements too.
select list_rows.visitor_id as for_whom, list_rows.item_id
from {{ ref('visitor_recommendations') }} as list_rows
left join {{ ref('items') }} as items on list_rows.item_id = items.item_id
where items.item_id is null or not items.available

union all

select similar_pairs.item_id, similar_pairs.similar_item_id
from {{ ref('similar_items') }} as similar_pairs
left join {{ ref('items') }} as items on similar_pairs.similar_item_id = items.item_id
where items.item_id is null or not items.available

union all

select list_rows.placement || ': ' || list_rows.visitor_id as for_whom, list_rows.item_id
from {{ ref('placement_recommendations') }} as list_rows
left join {{ ref('items') }} as items on list_rows.item_id = items.item_id
where items.item_id is null or not items.available
