{{ config(materialized='table') }}

with arrived_rows as (
    -- users may replace the table raw.visitors by a view of their own; if the view lacks an optional column, the column
    -- is null here
    select * from {{ source('raw', 'visitors') }}
    union all by name
    select null::varchar as updated_at, null::json as attributes where false
),

typed_rows as (
    select
        {{ null_word_as_null('visitor_id') }} as visitor_id,
        attributes::varchar as stated_attributes,
        {{ to_timestamp_utc(blank_as_null('updated_at')) }} as stated_at,
        loaded_at
    from arrived_rows
),

latest_rows as (
    -- the latest row of each visitor, in the order of the macro latest_visitor_row_sort_keys
    select *, {{ updated_at_or_arrival() }} as updated_at
    from typed_rows
    where visitor_id is not null
    qualify row_number() over (
        partition by visitor_id
        order by {{ latest_visitor_row_sort_keys() }}
    ) = 1
),

rows_with_attribute_members as (
    select *, {{ attribute_members('stated_attributes') }} as members
    from latest_rows
),

attribute_type_map as (
    {{ attribute_type_map('rows_with_attribute_members', 'members') }}
)

select
    visitor_id,
    {{ typed_attributes('members', 'types') }} as attributes,
    {{ attributes_hash('members') }} as attributes_hash,
    updated_at,
    loaded_at
from rows_with_attribute_members
cross join attribute_type_map
