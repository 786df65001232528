{{ config(materialized='table') }}

with arrived_rows as (
    -- users may replace the table raw.items by a view of their own; if the view lacks an optional column, the column is
    -- null here
    select * from {{ source('raw', 'items') }}
    union all by name
    select
        null::varchar as title,
        null::varchar as brand,
        null::varchar as category,
        null::varchar as description,
        null::varchar as price,
        null::varchar as available,
        null::varchar as updated_at,
        null::json as attributes
    where false
),

typed_rows as (
    select
        {{ null_word_as_null('item_id') }} as item_id,
        title::varchar as title,
        brand::varchar as brand,
        category::varchar as category,
        description::varchar as description,
        {{ null_word_as_null('price') }} as price_text,
        {{ to_price('price') }} as price,
        {{ blank_as_null('available') }} as available_text,
        {{ to_availability(blank_as_null('available')) }} as stated_available,
        {{ to_timestamp_utc(blank_as_null('updated_at')) }} as stated_at,
        attributes::varchar as stated_attributes,
        loaded_at
    from arrived_rows
),

rows_with_update_times as (
    select
        *,
        {{ updated_at_or_arrival() }} as updated_at,
        -- an item counts as available if its availability is a word that nextmart doesn't know: a feed that begins to
        -- use new words must not withdraw the whole catalogue
        coalesce(stated_available, true) as available,
        case when price is null then price_text end as unread_price,
        case when stated_available is null then available_text end as unread_available
    from typed_rows
),

latest_rows as (
    -- the latest row of each item, in the order of the macro latest_item_row_sort_keys
    select *, min(loaded_at) over (partition by item_id) as first_loaded_at
    from rows_with_update_times
    where item_id is not null
    qualify row_number() over (
        partition by item_id
        order by {{ latest_item_row_sort_keys() }}
    ) = 1
),

cleaned_rows as (
    -- texts and attributes are cleaned last, because cleaning is slow and only the latest rows need it
    select
        * replace (
            {{ clean_text('title') }} as title,
            {{ clean_text('brand') }} as brand,
            {{ clean_text('category') }} as category,
            {{ clean_text('description') }} as description
        ),
        {{ attribute_members('stated_attributes') }} as members
    from latest_rows
),

attribute_type_map as (
    {{ attribute_type_map('cleaned_rows', 'members') }}
)

select
    item_id,
    {{ null_word_as_null('title') }} as title,
    {{ null_word_as_null('brand') }} as brand,
    {{ null_word_as_null('category') }} as category,
    {{ null_word_as_null('description') }} as description,
    price,
    available,
    unread_price,
    unread_available,
    {{ typed_attributes('members', 'types') }} as attributes,
    {{ attributes_hash('members') }} as attributes_hash,
    updated_at,
    loaded_at,
    first_loaded_at
from cleaned_rows
cross join attribute_type_map
