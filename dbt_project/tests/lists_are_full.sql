-- Every visitor with a list has `recommendations_per_visitor` rows. If fewer available items are outside the visitor's
-- own sequence, the visitor has at least as many rows as there are such items.
with available_count as (
    select count(*) as item_count from {{ ref('items') }} where available
),

list_lengths as (
    select visitor_id, count(*) as length
    from {{ ref('visitor_recommendations') }}
    group by visitor_id
),

sequence_lengths as (
    select visitor_id, len(list_distinct(items)) as item_count
    from {{ ref('latest_sequences') }}
)

select list_lengths.visitor_id, list_lengths.length
from list_lengths
cross join available_count
left join sequence_lengths on list_lengths.visitor_id = sequence_lengths.visitor_id
where
    list_lengths.length > {{ var('recommendations_per_visitor') }}
    or list_lengths.length < least(
        {{ var('recommendations_per_visitor') }}, available_count.item_count - coalesce(sequence_lengths.item_count, 0)
    )
