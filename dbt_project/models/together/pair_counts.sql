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
    -- new baskets, whose pairs are added to the counts, and outdated baskets, whose pairs are subtracted
    {% if is_incremental() -%}
    select {{ row_id() }} as basket_id, viewed_items, bought_items, case when is_live then 1 else -1 end as count_change
    from {{ ref('baskets') }}
    where is_live <> is_counted
    {%- else -%}
    select {{ row_id() }} as basket_id, viewed_items, bought_items, 1 as count_change
    from {{ ref('baskets') }}
    where is_live
    {%- endif %}
),

item_id_lists as (
    select basket_id, false as is_bought, viewed_items as items, count_change from changed_baskets
    union all
    select basket_id, true as is_bought, bought_items as items, count_change from changed_baskets
),

listed_item_ids as (
    select basket_id, is_bought, count_change, {{ unnested('items') }} as item_id
    from item_id_lists
),

listed_item_numbers as (
    select
        listed_item_ids.basket_id,
        listed_item_ids.is_bought,
        listed_item_ids.count_change,
        coalesce(
            items.item_number, {{ fail_with_message("'basket_items lacks an item: build it first'") }}
        ) as item_number
    from listed_item_ids
    left join {{ ref('basket_items') }} as items on listed_item_ids.item_id = items.item_id
),

item_number_lists as (
    select is_bought, count_change, {{ ordered_list('item_number', 'item_number') }} as items
    from listed_item_numbers
    group by basket_id, is_bought, count_change
),

list_positions as (
    select is_bought, count_change, items, {{ unnested_positions('items') }} as position
    from item_number_lists
),

list_tails as (
    -- each item of a basket with itself and the items behind it in the basket, so that each pair comes once
    select
        is_bought,
        count_change,
        {{ element_at('items', 'position') }} as item_number,
        {{ elements_from('items', 'position') }} as other_items
    from list_positions
),

changed_pairs as (
    select is_bought, count_change, item_number, {{ unnested('other_items') }} as with_item_number
    from list_tails
)

-- The counts of the changed baskets. An incremental build adds them to the counts that the table already has.
select is_bought, item_number, with_item_number, sum(count_change)::bigint as together
from changed_pairs
group by is_bought, item_number, with_item_number
having sum(count_change) <> 0
