-- every visitor has k rows, or all available items that are not in the visitor's own sequence where these are fewer
with stock as (
    select count(*) as items from {{ ref('items') }} where available
),

lists as (
    select visitor_id, count(*) as length
    from {{ ref('visitor_recommendations') }}
    group by visitor_id
),

own as (
    select visitor_id, len(list_distinct(items)) as items
    from {{ ref('latest_sequences') }}
)

select lists.visitor_id, lists.length
from lists
cross join stock
left join own on lists.visitor_id = own.visitor_id
where
    lists.length > {{ var('recommendations_per_visitor') }}
    or lists.length < least({{ var('recommendations_per_visitor') }}, stock.items - coalesce(own.items, 0))
