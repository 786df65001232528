{{ config(enabled=not var('allow_repeats')) }}
-- no recommended item is in the visitor sequence that the recommendations were made from
select chosen.visitor_id, chosen.item_id
from {{ ref('visitor_recommendations') }} as chosen
inner join {{ ref('latest_sequences') }} as latest on chosen.visitor_id = latest.visitor_id
where list_contains(latest.items, chosen.item_id)
