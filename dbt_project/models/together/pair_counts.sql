{{ config(
    materialized='incremental', incremental_strategy='merge',
    unique_key=['is_bought', 'item_number', 'with_item_number'],
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

lists_of_ids as (
    select false as is_bought, viewed_items as items, change from changed_baskets
    union all
    select true as is_bought, bought_items as items, change from changed_baskets
),

counted_lists as (
    select row_number() over () as list_number, is_bought, items, change
    from lists_of_ids
),

listed_items as (
    select list_number, is_bought, change, {{ unnested('items') }} as item_id
    from counted_lists
),

numbered_items as (
    select
        listed_items.list_number,
        listed_items.is_bought,
        listed_items.change,
        coalesce(
            items.item_number, {{ fail_with_message("'basket_items lacks an item: build it first'") }}
        ) as item_number
    from listed_items
    left join {{ ref('basket_items') }} as items on listed_items.item_id = items.item_id
),

lists_of_numbers as (
    select is_bought, change, {{ ordered_list('item_number', 'item_number') }} as items
    from numbered_items
    group by list_number, is_bought, change
),

list_positions as (
    select is_bought, change, items, {{ unnested_positions('items') }} as position
    from lists_of_numbers
),

list_tails as (
    -- each item of a basket, with the basket's items from the same position on, so that each pair comes once
    select
        is_bought,
        change,
        {{ element_at('items', 'position') }} as item_number,
        {{ elements_from('items', 'position') }} as other_items
    from list_positions
),

changed_pairs as (
    select is_bought, change, item_number, {{ unnested('other_items') }} as with_item_number
    from list_tails
)

-- An incremental build adds these counts to the counts of pairs that the table already has.
select is_bought, item_number, with_item_number, sum(change)::bigint as together
from changed_pairs
group by is_bought, item_number, with_item_number
having sum(change) <> 0
