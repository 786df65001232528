{{ config(materialized='view') }}

select
    'raw.events' as source_table,
    count(*) as row_count,
    max(loaded_at) as newest_loaded_at,
    (select max(newest_event_at) from {{ ref('event_batches') }}) as newest_at
from {{ source('raw', 'events') }}

union all

select
    'raw.items' as source_table,
    count(*) as row_count,
    max(loaded_at) as newest_loaded_at,
    (select max(updated_at) from {{ ref('stg_items') }}) as newest_at
from {{ source('raw', 'items') }}
