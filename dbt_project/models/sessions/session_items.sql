{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='event_id') }}

{% set gap = minutes(var('session_gap_minutes')) %}

with new_events as (
    select event_id, visitor_id, item_id, event_type, event_at, batch_id
    from {{ ref('stg_events') }}
    {% if is_incremental() %}
    where batch_id > (select coalesce(max(batch_id), 0) from {{ this }})
    {% endif %}
),

{% if is_incremental() %}
known_sessions as (
    select visitor_id, session_id, min(event_at) as started_at, max(event_at) as ended_at
    from {{ this }}
    where visitor_id in (select visitor_id from new_events)
    group by visitor_id, session_id
),

touched_sessions as (
    -- an event can join, bridge or precede only the sessions that lie within one gap of it
    select distinct known_sessions.session_id
    from known_sessions
    inner join new_events
        on
            known_sessions.visitor_id = new_events.visitor_id
            and new_events.event_at >= known_sessions.started_at - {{ gap }}
            and new_events.event_at <= known_sessions.ended_at + {{ gap }}
),
{% endif %}

events_to_assign as (
    select * from new_events
    {% if is_incremental() %}
    union all by name
    select event_id, visitor_id, item_id, event_type, event_at, batch_id
    from {{ this }}
    where
        session_id in (select session_id from touched_sessions)
        and event_id not in (select event_id from new_events)
    {% endif %}
),

session_starts as (
    -- equal times are ordered by event_id, never by where a row happens to lie
    select
        *,
        row_number() over by_visitor as place,
        case
            when event_at <= lag(event_at) over by_visitor + {{ gap }} then null
            else event_id
        end as starting_event_id
    from events_to_assign
    window by_visitor as (partition by visitor_id order by event_at, event_id)
),

assigned as (
    -- the position is counted from the start's place: a window over sessions would sort everything once more
    select
        * exclude (starting_event_id, place),
        last_value(starting_event_id ignore nulls) over so_far as first_event_id,
        place - max(case when starting_event_id is not null then place end) over so_far + 1 as position
    from session_starts
    window so_far as (
        partition by visitor_id order by event_at, event_id rows between unbounded preceding and current row
    )
)

select
    -- named by the visitor and the first event: a late event renames a session only when it comes before all others
    md5(visitor_id || ':' || first_event_id) as session_id,
    visitor_id,
    position::integer as position,
    item_id,
    event_at,
    event_type,
    event_id,
    first_event_id,
    batch_id,
    -- the build that (re)assigned this row, for what follows
    {% if is_incremental() %}
    (select max(batch_id) from new_events)
    {% else %}
    (select max(batch_id) from events_to_assign)
    {% endif %} as assigned_batch_id
from assigned
