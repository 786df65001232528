{{ config(materialized='incremental', incremental_strategy='append', full_refresh=false) }}

-- pair_counts has numbers of items instead of ids, because numbers are counted and merged in a third of the time. A
-- full refresh keeps this table, so that the numbers in pair_counts stay valid.

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
