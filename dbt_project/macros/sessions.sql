{# The key of a session, and the build bounds of session_items and session_totals (see build_bounds.sql). #}

{# The key is made of the visitor and the session's first event, so a late event changes it only when that event comes
   before all others of the session. #}
{% macro session_key() -%}
    md5(visitor_id || ':' || event_id)
{%- endmacro %}

{# Query for a time one gap before the earliest new event. Of the visits that the gap rule made, only those with an
   event at or after this time can be changed by new events. #}
{% macro earliest_nearby_event() -%}
    select coalesce(min(event_at) - {{ minutes(var('session_gap_minutes')) }}, 'infinity')
    from {{ ref('stg_events') }}
    where batch_id > {{ build_bound('session_items_last_build', 0) }}
{%- endmacro %}

{# Query for the start of the earliest visit that new events may change: one with an event at or after
   earliest_nearby_event, or with the tracker's session of a new event. No older event is assigned again. #}
{% macro earliest_affected_visit() -%}
    {% if is_incremental() %}
    select coalesce(min(visit_started_at), 'infinity')
    from {{ this }}
    where
        event_at >= {{ build_bound('earliest_nearby_event', "'-infinity'::timestamptz") }}
        or source_session_id in (
            select source_session_id from {{ ref('stg_events') }}
            where batch_id > {{ build_bound('session_items_last_build', 0) }}
        )
    {% else %}
    select '-infinity'::timestamptz
    {% endif %}
{%- endmacro %}

{# Query for the start of the earliest session whose events session_items has assigned since the last build of
   session_totals. No session that began before it has changed. #}
{% macro earliest_changed_session() -%}
    select coalesce(min(event_at), 'infinity')
    from {{ ref('session_items') }}
    where assigned_batch_id > {{ build_bound('session_totals_last_build', 0) }}
{%- endmacro %}

{# The settings that divide events into sessions, as text. session_changes records it for each build, and a test fails
   where builds recorded different rules: after a change of these settings, sessions need a full refresh. #}
{% macro session_rule() -%}
    gap {{ var('session_gap_minutes') }} min, longest {{ var('max_session_minutes') }} min,
    {{- ' ' }}{{ var('max_session_events') }} events
{%- endmacro %}
