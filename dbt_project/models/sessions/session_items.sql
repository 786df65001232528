{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key=event_key(),
    incremental_predicates=["event_at >= " ~ build_bound('earliest_affected_visit_start', "'-infinity'::timestamptz")],
    pre_hook=[
        "{{ set_build_bound('session_items_last_build', newest_build_number('batch_id')) }}",
        "{{ set_build_bound('earliest_time_near_new_events', earliest_time_near_new_events()) }}",
        "{{ set_build_bound('earliest_affected_visit_start', earliest_affected_visit_start()) }}",
    ]
) }}

{% set session_gap = interval_of_minutes(var('session_gap_minutes')) %}
{% set part_count = 1 if is_incremental() else 4 %}

with new_events as not materialized (
    select
        event_id, visitor_id, user_id, item_id, event_type, event_at, source_session_id, bot_reason, batch_id
    from {{ ref('stg_events') }}
    where batch_id > {{ build_bound('session_items_last_build', 0) }}
),

tracker_sessions_with_new_events as materialized ({{ tracker_sessions_with_new_events() }}),

{% if is_incremental() %}
nearby_time_spans as (
    -- for each visitor, the time from one session gap before the first new event to one session gap after the last one;
    -- each session of the tracker has a span of its own
    select
        visitor_id, source_session_id,
        min(event_at) - {{ session_gap }} as starts_at, max(event_at) + {{ session_gap }} as ends_at
    from new_events
    group by visitor_id, source_session_id
),

affected_visits as (
    -- visits made by the gap rule: a new event can change only those with an event at most one session gap away
    select known_events.visitor_id, known_events.source_session_id, known_events.visit_started_at
    from {{ this }} as known_events
    inner join nearby_time_spans
        on
            known_events.visitor_id = nearby_time_spans.visitor_id
            and known_events.source_session_id is not distinct from nearby_time_spans.source_session_id
            and known_events.event_at between nearby_time_spans.starts_at and nearby_time_spans.ends_at
    where known_events.event_at >= {{ build_bound('earliest_time_near_new_events', "'-infinity'::timestamptz") }}

    union
    -- Sessions of the tracker whose events are all assigned again. One that is kept whole is one visit, however far its
    -- events are from the new ones; one that was whole before and is cut now becomes several visits
    select known_events.visitor_id, known_events.source_session_id, known_events.visit_started_at
    from {{ this }} as known_events
    semi join tracker_sessions_with_new_events
        on
            known_events.source_session_id = tracker_sessions_with_new_events.source_session_id
            and tracker_sessions_with_new_events.is_assigned_whole
    where known_events.event_at >= {{ build_bound('earliest_affected_visit_start', "'-infinity'::timestamptz") }}
),
{% endif %}

events_of_affected_visits as not materialized (
    -- new events, and all events of the visits that the new events may change
    select * from new_events
    {% if is_incremental() %}
    union all by name
    select
        known_events.event_id, known_events.visitor_id, known_events.user_id, known_events.item_id,
        known_events.event_type, known_events.event_at, known_events.source_session_id, known_events.bot_reason,
        known_events.batch_id
    from {{ this }} as known_events
    semi join affected_visits
        on
            known_events.visitor_id = affected_visits.visitor_id
            and known_events.source_session_id is not distinct from affected_visits.source_session_id
            and known_events.visit_started_at = affected_visits.visit_started_at
    where known_events.event_at >= {{ build_bound('earliest_affected_visit_start', "'-infinity'::timestamptz") }}
    {% endif %}
),

events_to_assign as not materialized (
    select events_of_affected_visits.*, tracker_sessions_with_new_events.tracker_session_cut_reason
    from events_of_affected_visits
    left join tracker_sessions_with_new_events
        on events_of_affected_visits.source_session_id = tracker_sessions_with_new_events.source_session_id
),

assigned_events as (
    -- a full refresh assigns events to sessions for one part of the visitors after the other, because sorting fewer
    -- events needs less memory
    {% for part_number in range(part_count) %}
    ({{ assign_sessions('events_to_assign', is_in_part('visitor_id', part_number, part_count)) }})
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
    -- assigned_batch_id is the number of the present build; later models select by it the rows that the build assigned
    (select max(batch_id) from {{ ref('stg_events') }}) as assigned_batch_id
from assigned_events
