{{ config(materialized='view') }}

with unreadable_rows as (
    -- rows of files that `nextmart load` could not read
    select reason, file, line, raw_row, loaded_at
    from {{ source('raw', 'unreadable_rows') }}
    where table_name = 'items'
),

rows_without_id as (
    -- rows of raw.items that stg_items leaves out because their item_id is missing
    select
        'missing_item_id' as reason,
        null as file,
        null as line,
        {{ row_as_json_text('items') }} as raw_row,
        loaded_at
    from {{ source('raw', 'items') }} as items
    where {{ null_word_as_null('item_id') }} is null
)

select * from unreadable_rows
union all
select * from rows_without_id
