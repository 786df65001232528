{{ config(materialized='view') }}

select
    case when pair_counts.is_bought then 'bought' else 'viewed' end as kind,
    least(items.item_id, other_items.item_id) as item_id,
    greatest(items.item_id, other_items.item_id) as with_item_id,
    pair_counts.together
from {{ ref('pair_counts') }} as pair_counts
inner join {{ ref('basket_items') }} as items on pair_counts.item_number = items.item_number
inner join {{ ref('basket_items') }} as other_items on pair_counts.with_item_number = other_items.item_number
