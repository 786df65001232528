{{ config(enabled=not var('allow_repeats')) }}
-- no item is recommended to a visitor whose latest sequence already has it
select recommended.visitor_id, recommended.item_id
from {{ ref('visitor_recommendations') }} as recommended
inner join {{ ref('latest_sequences') }} as sequences on recommended.visitor_id = sequences.visitor_id
where list_contains(sequences.items, recommended.item_id)
