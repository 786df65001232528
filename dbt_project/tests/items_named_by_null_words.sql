{{ config(severity='warn') }}
-- Rows of raw.items that are left out of the catalogue, because their item_id is one of `null_words`.
select {{ blank_as_null('item_id') }} as item_id, count(*) as raw_rows
from {{ source('raw', 'items') }}
where {{ is_null_word('item_id') }}
group by all
