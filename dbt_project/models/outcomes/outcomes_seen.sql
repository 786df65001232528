{% set place = 'placement, model, arm, rank' %}

with newest_event as (
    -- days end at the newest event, not at the clock, because events of later days may still be loaded
    select max(event_at) as event_at from {{ ref('session_items') }}
),

listed_places as (
    -- each place of each list, with the first and the last day on which a visitor could see the place
    select
        lists.*,
        {{ day_of('lists.live_from') }} as starts_on,
        {{ day_of("least(lists.live_until - interval '1 microsecond', newest_event.event_at)") }} as ends_on
    from {{ ref('live_lists') }} as lists
    inner join newest_event on lists.live_from <= newest_event.event_at
),

places_with_visitor_starts as (
    -- the first day on which each place adds its visitor to the visitors: a visitor with several lists on a day counts
    -- once
    select
        *,
        greatest(
            starts_on,
            max(ends_on) over (
                partition by {{ place }}, visitor_id order by live_from rows between unbounded preceding and 1 preceding
            ) + 1
        ) as visitor_starts_on
    from listed_places
),

count_changes as (
    -- how many places and visitors each day has more than the day before; their running sums are the numbers of the
    -- days
    select {{ place }}, starts_on as day, 1 as places, 0 as visitors from listed_places
    union all
    select {{ place }}, ends_on + 1 as day, -1 as places, 0 as visitors from listed_places
    union all
    select {{ place }}, visitor_starts_on as day, 0 as places, 1 as visitors from places_with_visitor_starts
    where visitor_starts_on <= ends_on
    union all
    select {{ place }}, ends_on + 1 as day, 0 as places, -1 as visitors from places_with_visitor_starts
    where visitor_starts_on <= ends_on
    union all
    -- days without a change get a row too
    select {{ place }}, {{ unnested_days('min(starts_on)', 'max(ends_on)') }} as day, 0 as places, 0 as visitors
    from listed_places
    group by {{ place }}
),

daily_count_changes as (
    select {{ place }}, day, sum(places) as places, sum(visitors) as visitors
    from count_changes
    group by {{ place }}, day
),

list_days as (
    select
        {{ place }}, day,
        sum(places) over (partition by {{ place }} order by day)::bigint as places,
        sum(visitors) over (partition by {{ place }} order by day)::bigint as visitors
    from daily_count_changes
),

followed_events as (
    -- events on an item while its visitor could see it in a list; the event is an outcome of the list's days from
    -- first_day to the day of the event, because the windows of earlier days have passed
    select
        {{ place }}, listed_places.visitor_id, listed_places.live_from, events.event_type, events.revenue,
        {{ day_of('events.event_at') }} as day,
        case
            when listed_places.live_from > events.event_at - {{ outcome_window() }} then listed_places.starts_on
            else {{ day_of('events.event_at - ' ~ outcome_window()) }} + 1
        end as first_day
    from listed_places
    inner join {{ ref('outcome_events') }} as events
        on
            listed_places.visitor_id = events.visitor_id
            and listed_places.item_id = events.item_id
            and listed_places.live_from <= events.event_at
            and (listed_places.live_until is null or listed_places.live_until > events.event_at)
),

followed_places as (
    select distinct {{ place }}, visitor_id, live_from, event_type, {{ unnested_days('first_day', 'day') }} as day
    from followed_events
),

followed_counts as (
    select {{ place }}, day, event_type, count(*) as followed
    from followed_places
    group by {{ place }}, day, event_type
),

event_counts as (
    -- each event counts once in a placement, on the day of the event
    select
        {{ place }}, day, event_type,
        count(*) as events, count(revenue) as priced_events, sum(revenue) as revenue
    from followed_events
    group by {{ place }}, day, event_type
)

{{ outcome_rows(ref('outcome_events'), 'followed_counts', 'event_counts') }}
where list_days.places > 0
