{#
Gives each of `events` (a relation or a CTE) its session_id, its position in it, visit_started_at and cut_reason. The
events of a visitor have to be complete as far as their visits may reach; `condition` chooses visitors.
#}
{% macro assign_sessions(events, condition) -%}
{%- set gap = minutes(var('session_gap_minutes')) -%}
{%- set is_cut = var('max_session_minutes') or var('max_session_events') -%}
with visit_starts as (
    -- equal times are ordered by event_id, never by where a row happens to lie
    select
        *,
        row_number() over by_visitor as place,
        -- the tracker's sessions stand as they are; the gap rule divides the events that have none
        lag(event_at) over by_visitor is null
        or (source_session_id is null and event_at > lag(event_at) over by_visitor + {{ gap }}) as starts_visit
    from {{ events }}
    where {{ condition }}
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

select * from {% if is_cut %}cut_visits{% else %}visits{% endif %}
{%- endmacro %}
