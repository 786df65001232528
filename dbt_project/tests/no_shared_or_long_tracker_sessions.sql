{{ config(severity='warn') }}
-- Sessions of the shop's tracker that are no real sessions, because they belong to several visitors or last longer than
-- `max_source_session_hours`. They are cut at pauses of their visitors (see `cut_reason` in sessions.sessions).
select
    source_session_id,
    min(cut_reason) as cut_reason,
    count(distinct visitor_id) as visitors,
    count(*) as sessions,
    min(started_at) as started_at,
    max(ended_at) as ended_at
from {{ ref('session_totals') }}
where cut_reason in ({{ tracker_session_cut_reasons() }})
group by source_session_id
