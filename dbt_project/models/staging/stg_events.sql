{{ config(materialized='view') }}

select
    event_id,
    visitor_id,
    user_id,
    item_id,
    event_type,
    event_at,
    source_session_id,
    user_agent,
    bot_reason,
    loaded_at,
    batch_id
from {{ ref('int_events_checked') }}
where reject_reason is null
