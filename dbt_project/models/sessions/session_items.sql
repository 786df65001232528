{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key='event_id',
    incremental_predicates=["event_at >= " ~ remembered('touched_from', "'-infinity'::timestamptz")],
    pre_hook=[
        "{{ remember('items_after', newest_build('batch_id')) }}",
        "{{ remember('near_from', near_from()) }}",
        "{{ remember('touched_from', touched_from()) }}",
    ]
) }}

{% set gap = minutes(var('session_gap_minutes')) %}
{% set parts = 1 if is_incremental() else 4 %}

with new_events as not materialized (
    select
        event_id, visitor_id, user_id, item_id, event_type, event_at, source_session_id, bot_reason, batch_id
    from {{ ref('stg_events') }}
    where batch_id > {{ remembered('items_after', 0) }}
),

{% if is_incremental() %}
new_spans as (
    select
        visitor_id, source_session_id,
        min(event_at) - {{ gap }} as near_from, max(event_at) + {{ gap }} as near_until
    from new_events
    group by visitor_id, source_session_id
),

touched_visits as (
    -- an event can join, bridge or precede only the visits that have an event within one gap of it
    select known.visitor_id, known.source_session_id, known.visit_started_at
    from {{ this }} as known
    inner join new_spans
        on
            known.visitor_id = new_spans.visitor_id
            and known.event_at between new_spans.near_from and new_spans.near_until
    where
        known.source_session_id is null and new_spans.source_session_id is null
        and known.event_at >= {{ remembered('near_from', "'-infinity'::timestamptz") }}

    union
    -- or the session that the tracker says
    select known.visitor_id, known.source_session_id, known.visit_started_at
    from {{ this }} as known
    inner join new_spans
        on known.visitor_id = new_spans.visitor_id and known.source_session_id = new_spans.source_session_id
    where known.event_at >= {{ remembered('touched_from', "'-infinity'::timestamptz") }}
),
{% endif %}

events_to_assign as not materialized (
    select * from new_events
    {% if is_incremental() %}
    union all by name
    select
        known.event_id, known.visitor_id, known.user_id, known.item_id, known.event_type, known.event_at,
        known.source_session_id, known.bot_reason, known.batch_id
    from {{ this }} as known
    semi join touched_visits
        on
            known.visitor_id = touched_visits.visitor_id
            and known.source_session_id is not distinct from touched_visits.source_session_id
            and known.visit_started_at = touched_visits.visit_started_at
    where known.event_at >= {{ remembered('touched_from', "'-infinity'::timestamptz") }}
    {% endif %}
),

assigned as (
    -- a full refresh goes by parts of the visitors, one after the other: what a part sorts fits into memory for longer
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
    -- the build that (re)assigned this row, for what follows
    (select max(batch_id) from {{ ref('stg_events') }}) as assigned_batch_id
from assigned
