{# Macros for a session's key, and for the build bounds of session_items and session_totals (see build_bounds.sql). #}

{# The key of a session: a hash of visitor_id and of the key of the session's first event. A late event changes the key
   of a session only if it comes before all other events of the session. `relation` is the alias of the relation with
   the first event. #}
{% macro session_key(relation='') -%}
    md5({{ relation ~ '.' if relation else '' }}visitor_id || ':' || {{ event_key(relation) }})
{%- endmacro %}

{# Condition that an event is the first one of a session, among events whose event_id is the session's first_event_id.
   Several events can have that event_id only if item_id is part of `event_identity`. `sessions` and `events` are the
   aliases of relations. #}
{% macro is_first_event(sessions, events) -%}
    {%- if is_item_in_event_identity() -%}
    {{ sessions }}.session_id = {{ session_key(events) }}
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}

{# Query for the time one session gap before the earliest new event. New events can change a visit made by the gap rule
   only if the visit has an event at or after this time. #}
{% macro earliest_time_near_new_events() -%}
    select coalesce(min(event_at) - {{ interval_of_minutes(var('session_gap_minutes')) }}, 'infinity')
    from {{ ref('stg_events') }}
    where batch_id > {{ build_bound('session_items_last_build', 0) }}
{%- endmacro %}

{# Query for the start of the earliest visit that new events may change. Two kinds of visits count: those with an event
   at or after earliest_time_near_new_events, and those in a session of the tracker whose events are all assigned again.
   No event before this start is assigned to a session again. #}
{% macro earliest_affected_visit_start() -%}
    {% if is_incremental() %}
    select coalesce(min(visit_started_at), 'infinity')
    from {{ this }}
    where
        event_at >= {{ build_bound('earliest_time_near_new_events', "'-infinity'::timestamptz") }}
        or source_session_id in (
            select source_session_id from ({{ tracker_sessions_with_new_events() }}) as tracker_sessions
            where is_assigned_whole
        )
    {% else %}
    select '-infinity'::timestamptz
    {% endif %}
{%- endmacro %}

{# Query for the start of the earliest session whose events session_items has assigned since the last build of
   session_totals. No session that began before this start has changed. #}
{% macro earliest_changed_session_start() -%}
    select coalesce(min(event_at), 'infinity')
    from {{ ref('session_items') }}
    where assigned_batch_id > {{ build_bound('session_totals_last_build', 0) }}
{%- endmacro %}

{# The settings that divide events into sessions, as one text. session_changes records this text for each build, and the
   test one_session_rule fails if builds recorded different texts: a change of these settings needs a full refresh.
   max_source_session_hours is left out if it has its default, because older builds, from before this setting, recorded
   no number for it. #}
{% macro session_rule() -%}
    gap {{ as_number_text(var('session_gap_minutes')) }} min,
    {{- ' ' }}longest {{ as_number_text(var('max_session_minutes')) }} min,
    {{- ' ' }}{{ var('max_session_events') }} events
    {%- if var('max_source_session_hours') != 24 -%}
    {{- ', longest of the tracker ' ~ as_number_text(var('max_source_session_hours')) ~ ' h' -}}
    {%- endif -%}
{%- endmacro %}

{# A number as text, so that 30 and 30.0 give the same text. #}
{% macro as_number_text(number) -%}
    {{ number if number is none else '%.15g' | format(number | float) }}
{%- endmacro %}
