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
{% set is_cut = var('max_session_minutes') or var('max_session_events') %}

with new_events as (
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

events_to_assign as (
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

visit_starts as (
    -- equal times are ordered by event_id, never by where a row happens to lie
    select
        *,
        row_number() over by_visitor as place,
        -- the tracker's sessions stand as they are; the gap rule divides the events that have none
        lag(event_at) over by_visitor is null
        or (source_session_id is null and event_at > lag(event_at) over by_visitor + {{ gap }}) as starts_visit
    from events_to_assign
    window by_visitor as (partition by visitor_id, source_session_id order by event_at, event_id)
),

visits as (
    -- places are counted from the start's: a window over sessions would sort everything once more
    select
        * exclude (starts_visit, place),
        last_value(case when starts_visit then {{ session_key() }} end ignore nulls) over so_far as session_id,
        last_value(case when starts_visit then event_at end ignore nulls) over so_far as visit_started_at,
        place - max(case when starts_visit then place end) over so_far + 1 as position,
        null as cut_reason
    from visit_starts
    window so_far as (
        partition by visitor_id, source_session_id order by event_at, event_id
        rows between unbounded preceding and current row
    )
){% if is_cut %},

measured as (
    select
        *,
        {{ minutes_between('visit_started_at', 'event_at') }} // {{ var('max_session_minutes') or 'null' }} as stretch,
        (position - 1) // {{ var('max_session_events') or 'null' }} as portion
    from visits
),

cut_visits as (
    -- a visit that doesn't end (a kiosk, a script) is cut where it passes a limit
    select
        * exclude (stretch, portion) replace (
            first_value({{ session_key() }}) over piece as session_id,
            row_number() over piece as position,
            case when stretch > 0 then 'max_session_minutes' when portion > 0 then 'max_session_events' end as cut_reason
        )
    from measured
    window piece as (
        partition by visitor_id, source_session_id, visit_started_at, stretch, portion order by event_at, event_id
    )
){% endif %}

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
from {% if is_cut %}cut_visits{% else %}visits{% endif %}
