{{ config(materialized='view') }}

-- one session with a bot_reason makes the visitor a bot, and all of the visitor's sessions then count as a bot's
select
    visitor_id,
    min(bot_reason) as reason,
    min(started_at) as first_seen_at,
    count(*) as session_count,
    sum(event_count)::bigint as event_count
from {{ ref('session_totals') }}
where bot_reason is not null
group by visitor_id
