-- Every visitor with a list has `recommendations_per_visitor` rows. If fewer available items are outside the visitor's
-- own sequence, or no target there, the visitor has at least as many rows as there are such items.
with available_item_count as (
    select count(*) as item_count from {{ ref('items') }} where available
),

list_lengths as (
    select visitor_id, count(*) as length
    from {{ ref('visitor_recommendations') }}
    group by visitor_id
),

distinct_item_counts_of_sequences as (
    select sequences.visitor_id, len(list_distinct({{ target_items('sequences') }})) as item_count
    from {{ ref('latest_sequences') }} as sequences
)

select list_lengths.visitor_id, list_lengths.length
from list_lengths
cross join available_item_count
left join distinct_item_counts_of_sequences on list_lengths.visitor_id = distinct_item_counts_of_sequences.visitor_id
where
    list_lengths.length > {{ var('recommendations_per_visitor') }}
    or list_lengths.length < least(
        {{ var('recommendations_per_visitor') }},
        available_item_count.item_count - coalesce(distinct_item_counts_of_sequences.item_count, 0)
    )
