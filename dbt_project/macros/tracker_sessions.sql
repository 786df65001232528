{# Macros for the sessions that the shop's own tracker has made (source_session_id). Such a session is kept whole if it
   belongs to one visitor and lasts `max_source_session_hours` at most. Any other, such as one whose id is `0` for all
   visitors, is no real session. It is cut: its events are divided at a visitor's pauses, as events without a session of
   the tracker are. #}

{# The reasons why a session of the tracker is cut, as texts for an IN list. A session to which both reasons apply has
   the first one. #}
{% macro tracker_session_cut_reasons() -%}
    'shared_source_session', 'long_source_session'
{%- endmacro %}

{# Query for the sessions of the tracker that have new events, one row a session.
   tracker_session_cut_reason says why the session is cut, its new events included. It is null if the session is kept
   whole.
   is_assigned_whole says whether all its events must be assigned to sessions again. That is so if the session is kept
   whole, if it is cut now but wasn't before, or if it was cut for another reason before. In a session that stays cut
   for the same reason, new events change only the visits near them. In a full refresh, the query returns only the
   sessions that are cut. #}
{% macro tracker_sessions_with_new_events() -%}
{%- set max_hours = var("max_source_session_hours") -%}
{%- if max_hours is not number or max_hours is boolean or max_hours <= 0 -%}
{%- do exceptions.raise_compiler_error("max_source_session_hours is a number above 0, not " ~ max_hours) -%}
{%- endif -%}
select
    source_session_id,
    case
        when min(visitor_id) <> max(visitor_id) then 'shared_source_session'
        when max(event_at) > min(event_at) + {{ interval_of_hours(max_hours) }} then 'long_source_session'
    end as tracker_session_cut_reason,
    tracker_session_cut_reason is null or tracker_session_cut_reason <> coalesce(max(known_cut_reason), '')
        as is_assigned_whole
from (
    select source_session_id, visitor_id, event_at, null::varchar as known_cut_reason
    from {{ ref('stg_events') }}
    where source_session_id is not null and batch_id > {{ build_bound('session_items_last_build', 0) }}
    {% if is_incremental() %}
    union all by name
    select
        source_session_id, visitor_id, event_at,
        case when cut_reason in ({{ tracker_session_cut_reasons() }}) then cut_reason end as known_cut_reason
    from {{ this }}
    where source_session_id in (
        select source_session_id from {{ ref('stg_events') }}
        where source_session_id is not null and batch_id > {{ build_bound('session_items_last_build', 0) }}
    )
    {% endif %}
) as events_of_tracker_sessions
group by source_session_id
{% if not is_incremental() %}having tracker_session_cut_reason is not null{% endif %}
{%- endmacro %}
