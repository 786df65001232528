{{ config(enabled=not var('allow_repeats')) }}
-- a visitor is never recommended what the sequence that it was made from already holds
with latest as (
    select visitor_id, items
    from {{ ref('sequences') }}
    qualify row_number() over (partition by visitor_id order by ended_at desc, sequence_id desc) = 1
)

select chosen.visitor_id, chosen.item_id
from {{ ref('visitor_recommendations') }} as chosen
inner join latest on chosen.visitor_id = latest.visitor_id
where list_contains(latest.items, chosen.item_id)
