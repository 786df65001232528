{{ config(materialized='view') }}

-- sessions is a view, not a table, so that a login or a bot's first fast session shows in all of the visitor's sessions
-- at once
select
    totals.session_id,
    totals.visitor_id,
    totals.user_id,
    -- the user who acted: the user of the session's own login, else of the visitor's newest login in any session
    coalesce(totals.user_id, mapping.user_id) as stitched_user_id,
    totals.first_event_id,
    totals.source_session_id,
    totals.visit_started_at,
    totals.started_at,
    totals.ended_at,
    totals.event_count,
    totals.item_count,
    totals.purchase_count,
    totals.cut_reason,
    totals.bot_reason,
    bots.visitor_id is not null as is_bot,
    totals.assigned_batch_id
from {{ ref('session_totals') }} as totals
left join {{ ref('user_mapping') }} as mapping on totals.visitor_id = mapping.visitor_id
left join {{ ref('bot_visitors') }} as bots on totals.visitor_id = bots.visitor_id
