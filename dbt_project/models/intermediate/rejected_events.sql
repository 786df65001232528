{{ config(materialized='view') }}

select
    event_id,
    reject_reason as reason,
    raw_row,
    loaded_at,
    batch_id
from {{ ref('int_events_checked') }}
where reject_reason is not null
