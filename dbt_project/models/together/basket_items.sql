{{ config(materialized='incremental', incremental_strategy='append', full_refresh=false) }}

-- Numbers take a third of the time that texts take to be counted and merged. A full refresh keeps this table, because
-- pair_counts has the numbers.

with item_lists as (
    select viewed_items as items from {{ ref('baskets') }} {{ 'where is_live <> is_counted' if is_incremental() }}
    union all
    select bought_items as items from {{ ref('baskets') }} {{ 'where is_live <> is_counted' if is_incremental() }}
),

listed_items as (
    select {{ unnested('items') }} as item_id from item_lists
),

new_items as (
    select distinct listed_items.item_id
    from listed_items
    {% if is_incremental() -%}
    anti join {{ this }} as known_items on listed_items.item_id = known_items.item_id
    {%- endif %}
)

select
    item_id,
    (
        row_number() over (order by item_id)
        {{ '+ (select coalesce(max(item_number), 0) from ' ~ this ~ ')' if is_incremental() }}
    )::integer as item_number
from new_items
