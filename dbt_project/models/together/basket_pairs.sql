{{ config(
    materialized='incremental', incremental_strategy='merge', unique_key=['kind', 'item_id', 'with_item_id'],
    merge_update_set_expressions={
        'together': 'DBT_INTERNAL_DEST.together + DBT_INTERNAL_SOURCE.together'
    },
    post_hook=[
        "delete from {{ this }} where together = 0",
        "update {{ ref('baskets') }} set is_counted = true where is_live and not is_counted",
        "delete from {{ ref('baskets') }} where not is_live",
    ]
) }}

with changed_baskets as (
    -- new baskets, which are added to the counts, and outdated baskets that are in the counts, which are subtracted
    {% if is_incremental() -%}
    select viewed_items, bought_items, case when is_live then 1 else -1 end as change
    from {{ ref('baskets') }}
    where is_live <> is_counted
    {%- else -%}
    select viewed_items, bought_items, 1 as change
    from {{ ref('baskets') }}
    where is_live
    {%- endif %}
),

item_lists as (
    select 'viewed' as kind, viewed_items as items, change from changed_baskets
    union all
    select 'bought' as kind, bought_items as items, change from changed_baskets
),

list_positions as (
    select kind, change, items, {{ unnested_positions('items') }} as position
    from item_lists
),

list_tails as (
    -- each item of a basket, with the basket's items from the same position on, so that each pair comes once
    select
        kind, change, {{ element_at('items', 'position') }} as item_id,
        {{ elements_from('items', 'position') }} as other_items
    from list_positions
),

changed_pairs as (
    select kind, change, item_id, {{ unnested('other_items') }} as with_item_id
    from list_tails
)

-- An incremental build adds these counts to the counts of pairs that the table already has.
select kind, item_id, with_item_id, sum(change)::bigint as together
from changed_pairs
group by kind, item_id, with_item_id
having sum(change) <> 0
