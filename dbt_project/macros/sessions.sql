{# Macros for a session's key, and for the build bounds of session_items and session_totals (see build_bounds.sql). #}

{# The key of a session: a hash of visitor_id and of the event_id of the session's first event. A late event changes the
   key only if it comes before all other events of the session. #}
{% macro session_key() -%}
    md5(visitor_id || ':' || event_id)
{%- endmacro %}

{# Query for the time one session gap before the earliest new event. New events can change a visit made by the gap rule
   only if the visit has an event at or after this time. #}
{% macro earliest_nearby_event() -%}
    select coalesce(min(event_at) - {{ minutes(var('session_gap_minutes')) }}, 'infinity')
    from {{ ref('stg_events') }}
    where batch_id > {{ build_bound('session_items_last_build', 0) }}
{%- endmacro %}

{# Query for the start of the earliest visit that new events may change: a visit with an event at or after
   earliest_nearby_event, or a visit in the same session of the tracker as a new event. No event before this start is
   assigned to a session again. #}
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
   session_totals. No session that began before this start has changed. #}
{% macro earliest_changed_session() -%}
    select coalesce(min(event_at), 'infinity')
    from {{ ref('session_items') }}
    where assigned_batch_id > {{ build_bound('session_totals_last_build', 0) }}
{%- endmacro %}

{# The settings that divide events into sessions, as text. session_changes records this text for each build, and the
   test one_session_rule fails if builds recorded different texts: after a change of these settings, run a full
   refresh. #}
{% macro session_rule() -%}
    gap {{ var('session_gap_minutes') }} min, longest {{ var('max_session_minutes') }} min,
    {{- ' ' }}{{ var('max_session_events') }} events
{%- endmacro %}
