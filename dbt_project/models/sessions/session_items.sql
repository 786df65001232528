{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key='event_id',
    incremental_predicates=["event_at >= " ~ build_bound('earliest_affected_visit', "'-infinity'::timestamptz")],
    pre_hook=[
        "{{ set_build_bound('session_items_last_build', newest_build('batch_id')) }}",
        "{{ set_build_bound('earliest_nearby_event', earliest_nearby_event()) }}",
        "{{ set_build_bound('earliest_affected_visit', earliest_affected_visit()) }}",
    ]
) }}

{% set gap = minutes(var('session_gap_minutes')) %}
{% set parts = 1 if is_incremental() else 4 %}

with new_events as not materialized (
    select
        event_id, visitor_id, user_id, item_id, event_type, event_at, source_session_id, bot_reason, batch_id
    from {{ ref('stg_events') }}
    where batch_id > {{ build_bound('session_items_last_build', 0) }}
),

{% if is_incremental() %}
nearby_spans as (
    -- from one gap before a visitor's first new event to one gap after the last
    select
        visitor_id, source_session_id,
        min(event_at) - {{ gap }} as starts_at, max(event_at) + {{ gap }} as ends_at
    from new_events
    group by visitor_id, source_session_id
),

affected_visits as (
    -- by the gap rule, a new event can join, bridge or precede only visits with an event within one gap of it
    select known.visitor_id, known.source_session_id, known.visit_started_at
    from {{ this }} as known
    inner join nearby_spans
        on
            known.visitor_id = nearby_spans.visitor_id
            and known.event_at between nearby_spans.starts_at and nearby_spans.ends_at
    where
        known.source_session_id is null and nearby_spans.source_session_id is null
        and known.event_at >= {{ build_bound('earliest_nearby_event', "'-infinity'::timestamptz") }}

    union
    -- an event with the tracker's session joins that session, however far away
    select known.visitor_id, known.source_session_id, known.visit_started_at
    from {{ this }} as known
    inner join nearby_spans
        on known.visitor_id = nearby_spans.visitor_id and known.source_session_id = nearby_spans.source_session_id
    where known.event_at >= {{ build_bound('earliest_affected_visit', "'-infinity'::timestamptz") }}
),
{% endif %}

events_to_assign as not materialized (
    -- new events, and all events of the visits that they may change
    select * from new_events
    {% if is_incremental() %}
    union all by name
    select
        known.event_id, known.visitor_id, known.user_id, known.item_id, known.event_type, known.event_at,
        known.source_session_id, known.bot_reason, known.batch_id
    from {{ this }} as known
    semi join affected_visits
        on
            known.visitor_id = affected_visits.visitor_id
            and known.source_session_id is not distinct from affected_visits.source_session_id
            and known.visit_started_at = affected_visits.visit_started_at
    where known.event_at >= {{ build_bound('earliest_affected_visit', "'-infinity'::timestamptz") }}
    {% endif %}
),

assigned as (
    -- a full refresh assigns one part of the visitors after the other: a part's sort needs less memory
    {% for part in range(parts) %}
    ({{ assign_sessions('events_to_assign', visitor_part(part, parts)) }})
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select
    session_id,
    visitor_id,
    position::integer as position,
    item_id,
    event_at,
    event_type,
    event_id,
    user_id,
    source_session_id,
    visit_started_at,
    cut_reason::varchar as cut_reason,
    bot_reason,
    batch_id,
    -- the present build: later models ask for the rows that it has assigned
    (select max(batch_id) from {{ ref('stg_events') }}) as assigned_batch_id
from assigned
