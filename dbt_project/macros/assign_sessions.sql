{#
A query that divides the rows of `events` (a relation or CTE) into sessions. To each event it adds session_id, position
(1-based, within the session), visit_started_at and cut_reason. The query takes only the events of visitors who fulfil
the SQL condition `visitor_condition`.
A visit is a series of a visitor's events without a pause longer than session_gap_minutes, or one session of the shop's
tracker that is kept whole. A visit that passes a limit is cut into several sessions; any other visit is one session.
`events` must hold all events of each visit of which it holds one. Its column tracker_session_cut_reason says why the
tracker's session of an event is cut at pauses. It is null if that session is kept whole, or if the event belongs to no
session of the tracker.
#}
{% macro assign_sessions(events, visitor_condition) -%}
{%- set session_gap = interval_of_minutes(var('session_gap_minutes')) -%}
{%- set has_visit_limit = var('max_session_minutes') or var('max_session_events') -%}
with events_with_visit_starts as (
    -- events of equal time are ordered by their keys, so that the order of rows on disk doesn't matter
    select
        *,
        row_number() over by_visitor as event_number,
        -- a pause starts a visit only if its events belong to no session of the tracker, or to one that is cut
        lag(event_at) over by_visitor is null
        or (
            (source_session_id is null or tracker_session_cut_reason is not null)
            and event_at > lag(event_at) over by_visitor + {{ session_gap }}
        ) as starts_visit
    from {{ events }}
    where {{ visitor_condition }}
    window by_visitor as (partition by visitor_id, source_session_id order by {{ event_sort_keys() }})
),

events_in_visits as (
    -- an event's position is its event_number less that of the visit's first event, plus 1; row_number() over a window
    -- by session_id would sort all rows again
    select
        * exclude (starts_visit, event_number, tracker_session_cut_reason),
        last_value(case when starts_visit then {{ session_key() }} end ignore nulls) over rows_so_far as session_id,
        last_value(case when starts_visit then event_at end ignore nulls) over rows_so_far as visit_started_at,
        event_number - max(case when starts_visit then event_number end) over rows_so_far + 1 as position,
        tracker_session_cut_reason as cut_reason
    from events_with_visit_starts
    window rows_so_far as (
        partition by visitor_id, source_session_id order by {{ event_sort_keys() }}
        rows between unbounded preceding and current row
    )
){% if has_visit_limit %},

events_with_visit_piece_numbers as (
    -- a visit is divided twice: into pieces of max_session_minutes, and into pieces of max_session_events; an event's
    -- two numbers, which count from 0, say in which pieces the event lies. max_session_minutes may have a fraction, and
    -- // rounds down only if both of its sides are whole numbers. So both are in microseconds
    select
        *,
        {{ microseconds_between('visit_started_at', 'event_at') }}
            // cast({{ var('max_session_minutes') or 'null' }} * 60e6 as bigint) as piece_number_by_minutes,
        (position - 1) // {{ var('max_session_events') or 'null' }} as piece_number_by_events
    from events_in_visits
),

events_in_limited_sessions as (
    -- a visit that never pauses, such as that of a kiosk or a script, is cut into sessions where it passes a limit
    select
        * exclude (piece_number_by_minutes, piece_number_by_events) replace (
            first_value({{ session_key() }}) over session_part as session_id,
            row_number() over session_part as position,
            coalesce(
                cut_reason,
                case
                    when piece_number_by_minutes > 0 then 'max_session_minutes'
                    when piece_number_by_events > 0 then 'max_session_events'
                end
            ) as cut_reason
        )
    from events_with_visit_piece_numbers
    window session_part as (
        partition by visitor_id, source_session_id, visit_started_at, piece_number_by_minutes, piece_number_by_events
        order by {{ event_sort_keys() }}
    )
){% endif %}

select * from {% if has_visit_limit %}events_in_limited_sessions{% else %}events_in_visits{% endif %}
{%- endmacro %}
