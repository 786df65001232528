{{ config(materialized='table') }}

with typed as (
    select
        {{ blank_as_null('item_id') }} as item_id,
        {{ blank_as_null('title') }} as title,
        {{ blank_as_null('brand') }} as brand,
        {{ blank_as_null('category') }} as category,
        {{ blank_as_null('description') }} as description,
        {{ try_cast('price', 'double') }} as price,
        -- only a clear no withdraws an item
        coalesce({{ try_cast('available', 'boolean') }}, true) as available,
        coalesce({{ to_timestamp_utc(blank_as_null('updated_at')) }}, loaded_at) as updated_at,
        loaded_at
    from {{ source('raw', 'items') }}
)

select *
from typed
where item_id is not null
-- the latest row is the item; the other columns make the order total
qualify row_number() over (
    partition by item_id
    order by
        updated_at desc nulls last, loaded_at desc nulls last, title nulls last, brand nulls last,
        category nulls last, description nulls last, price nulls last, available
) = 1
