-- The table placement_lists states the right length of every list of a placement, and no list is longer than `k`.
with row_counts_by_list as (
    select placement, visitor_id, count(*) as row_count
    from {{ ref('placement_recommendations') }}
    group by placement, visitor_id
)

select lists.placement, lists.visitor_id, lists.length, row_counts_by_list.row_count
from {{ ref('placement_lists') }} as lists
full join row_counts_by_list
    on lists.placement = row_counts_by_list.placement and lists.visitor_id = row_counts_by_list.visitor_id
where
    lists.visitor_id is null or lists.length <> coalesce(row_counts_by_list.row_count, 0) or lists.length > lists.k
