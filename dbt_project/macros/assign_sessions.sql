{#
A query that divides the rows of `events` (a relation or CTE) into sessions. To each event it adds session_id, position
(1-based, within the session), visit_started_at and cut_reason. `condition` is an SQL condition that chooses visitors.
If `events` holds one event of a visit, it must hold all events of that visit. Its column source_cut_reason says why the
session of the tracker is cut by silence; null: the session is kept whole, or the event has none.
A visit is a series of a visitor's events without a gap, or one session of the tracker that is kept whole. A visit that
passes a limit is cut into several sessions; any other visit is one session.
#}
{% macro assign_sessions(events, condition) -%}
{%- set gap = minutes(var('session_gap_minutes')) -%}
{%- set is_cut = var('max_session_minutes') or var('max_session_events') -%}
with events_with_visit_starts as (
    -- the keys of events order events of equal time, so that the order of rows on disk doesn't matter
    select
        *,
        row_number() over by_visitor as event_number,
        -- the gap rule divides events without a session of the tracker, and events in one that is cut
        lag(event_at) over by_visitor is null
        or (
            (source_session_id is null or source_cut_reason is not null)
            and event_at > lag(event_at) over by_visitor + {{ gap }}
        ) as starts_visit
    from {{ events }}
    where {{ condition }}
    window by_visitor as (partition by visitor_id, source_session_id order by {{ event_sort_keys() }})
),

events_in_visits as (
    -- an event's position is its event_number less that of the visit's first event, plus 1; row_number() over a window
    -- by session_id would sort all rows again
    select
        * exclude (starts_visit, event_number, source_cut_reason),
        last_value(case when starts_visit then {{ session_key() }} end ignore nulls) over rows_so_far as session_id,
        last_value(case when starts_visit then event_at end ignore nulls) over rows_so_far as visit_started_at,
        event_number - max(case when starts_visit then event_number end) over rows_so_far + 1 as position,
        source_cut_reason as cut_reason
    from events_with_visit_starts
    window rows_so_far as (
        partition by visitor_id, source_session_id order by {{ event_sort_keys() }}
        rows between unbounded preceding and current row
    )
){% if is_cut %},

events_in_visit_pieces as (
    -- the limits divide a visit into stretches of max_session_minutes, and into portions of max_session_events; each
    -- event gets the numbers, from 0, of its stretch and its portion
    select
        *,
        {{ minutes_between('visit_started_at', 'event_at') }} // {{ var('max_session_minutes') or 'null' }} as stretch,
        (position - 1) // {{ var('max_session_events') or 'null' }} as portion
    from events_in_visits
),

events_in_cut_visits as (
    -- a visit that never pauses, such as that of a kiosk or a script, is cut into sessions where it passes a limit
    select
        * exclude (stretch, portion) replace (
            first_value({{ session_key() }}) over session_part as session_id,
            row_number() over session_part as position,
            coalesce(
                cut_reason,
                case
                    when stretch > 0 then 'max_session_minutes'
                    when portion > 0 then 'max_session_events'
                end
            ) as cut_reason
        )
    from events_in_visit_pieces
    window session_part as (
        partition by visitor_id, source_session_id, visit_started_at, stretch, portion order by {{ event_sort_keys() }}
    )
){% endif %}

select * from {% if is_cut %}events_in_cut_visits{% else %}events_in_visits{% endif %}
{%- endmacro %}
