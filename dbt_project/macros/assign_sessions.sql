{#
A query that divides `events` (a relation or CTE) into sessions. To each event it adds session_id, position (its 1-based
place in the session), visit_started_at and cut_reason. `condition` chooses visitors. For each visit that it finds,
`events` must hold all events.
A visit is a row of events without a gap, or one session of the tracker. A visit that passes a limit is cut into several
sessions; any other visit is one session.
#}
{% macro assign_sessions(events, condition) -%}
{%- set gap = minutes(var('session_gap_minutes')) -%}
{%- set is_cut = var('max_session_minutes') or var('max_session_events') -%}
with visit_starts as (
    -- event_id orders events of equal time: the place of a row on disk must not matter
    select
        *,
        row_number() over by_visitor as place,
        -- the tracker's sessions stay whole; the gap rule divides only events without one
        lag(event_at) over by_visitor is null
        or (source_session_id is null and event_at > lag(event_at) over by_visitor + {{ gap }}) as starts_visit
    from {{ events }}
    where {{ condition }}
    window by_visitor as (partition by visitor_id, source_session_id order by event_at, event_id)
),

visits as (
    -- position is counted from the place of the visit's start: a window over session_id would sort all rows once more
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
    -- which stretch of max_session_minutes, and which portion of max_session_events, of its visit an event falls into
    select
        *,
        {{ minutes_between('visit_started_at', 'event_at') }} // {{ var('max_session_minutes') or 'null' }} as stretch,
        (position - 1) // {{ var('max_session_events') or 'null' }} as portion
    from visits
),

cut_visits as (
    -- a visit that never pauses (a kiosk, a script) is cut where it passes a limit
    select
        * exclude (stretch, portion) replace (
            first_value({{ session_key() }}) over piece as session_id,
            row_number() over piece as position,
            case
                when stretch > 0 then 'max_session_minutes'
                when portion > 0 then 'max_session_events'
            end as cut_reason
        )
    from measured
    window piece as (
        partition by visitor_id, source_session_id, visit_started_at, stretch, portion order by event_at, event_id
    )
){% endif %}

select * from {% if is_cut %}cut_visits{% else %}visits{% endif %}
{%- endmacro %}
