-- The table placement_lists states the right length of every list of a placement, and no list is longer than `k`.
with lengths as (
    select placement, visitor_id, count(*) as row_count
    from {{ ref('placement_recommendations') }}
    group by placement, visitor_id
)

select lists.placement, lists.visitor_id, lists.length, lengths.row_count
from {{ ref('placement_lists') }} as lists
full join lengths on lists.placement = lengths.placement and lists.visitor_id = lengths.visitor_id
where
    lists.visitor_id is null or lists.length <> coalesce(lengths.row_count, 0) or lists.length > lists.k
