{{ config(enabled=not var('allow_repeats')) }}
-- a visitor is never recommended what the sequence that it was made from already holds
select chosen.visitor_id, chosen.item_id
from {{ ref('visitor_recommendations') }} as chosen
inner join {{ ref('latest_sequences') }} as latest on chosen.visitor_id = latest.visitor_id
where list_contains(latest.items, chosen.item_id)
