{% set place_columns = 'placement, model, arm, rank' %}

with newest_event_time as (
    -- days end at the newest event, not at the clock, because events of later days may still be loaded
    select max(event_at) as event_at from {{ ref('session_items') }}
),

places_of_live_lists as (
    -- each place of each list, with the first and the last day on which a visitor could see the place
    select
        lists.*,
        {{ day_of('lists.live_from') }} as starts_on,
        {{ day_of("least(lists.live_until - interval '1 microsecond', newest_event_time.event_at)") }} as ends_on
    from {{ ref('live_lists') }} as lists
    inner join newest_event_time on lists.live_from <= newest_event_time.event_at
),

places_with_first_counted_days as (
    -- A visitor counts once a day for a place, even if several lists of the visitor were live on that day. So a list's
    -- place counts its visitor from visitor_first_counted_on: its first day, or the day after the last day of earlier
    -- lists, whichever is later
    select
        *,
        greatest(
            starts_on,
            max(ends_on) over (
                partition by {{ place_columns }}, visitor_id order by live_from
                rows between unbounded preceding and 1 preceding
            ) + 1
        ) as visitor_first_counted_on
    from places_of_live_lists
),

list_place_count_changes as (
    -- by how many the numbers of places and of visitors change from one day to the next; the sum of all changes up to a
    -- day is the number of that day
    select {{ place_columns }}, starts_on as day, 1 as places, 0 as visitors from places_of_live_lists
    union all
    select {{ place_columns }}, ends_on + 1 as day, -1 as places, 0 as visitors from places_of_live_lists
    union all
    select {{ place_columns }}, visitor_first_counted_on as day, 0 as places, 1 as visitors
    from places_with_first_counted_days
    where visitor_first_counted_on <= ends_on
    union all
    select {{ place_columns }}, ends_on + 1 as day, 0 as places, -1 as visitors
    from places_with_first_counted_days
    where visitor_first_counted_on <= ends_on
    union all
    -- a row without a change for each day, so that no day is missing
    select {{ place_columns }}, {{ unnested_days('min(starts_on)', 'max(ends_on)') }} as day, 0 as places, 0 as visitors
    from places_of_live_lists
    group by {{ place_columns }}
),

list_place_count_changes_by_day as (
    select {{ place_columns }}, day, sum(places) as places, sum(visitors) as visitors
    from list_place_count_changes
    group by {{ place_columns }}, day
),

list_place_counts_by_day as (
    select
        {{ place_columns }}, day,
        sum(places) over (partition by {{ place_columns }} order by day)::bigint as places,
        sum(visitors) over (partition by {{ place_columns }} order by day)::bigint as visitors
    from list_place_count_changes_by_day
),

followed_events as (
    -- Events on an item while the visitor could see the item in a list. The event is an outcome of the list's days from
    -- first_outcome_day to the day of the event: for earlier days, it comes after the end of the outcome window
    select
        {{ place_columns }}, places_of_live_lists.visitor_id, places_of_live_lists.live_from,
        events.event_type, events.revenue,
        {{ day_of('events.event_at') }} as day,
        case
            when places_of_live_lists.live_from > events.event_at - {{ outcome_window() }}
                then places_of_live_lists.starts_on
            else {{ day_of('events.event_at - ' ~ outcome_window()) }} + 1
        end as first_outcome_day
    from places_of_live_lists
    inner join {{ ref('outcome_events') }} as events
        on
            places_of_live_lists.visitor_id = events.visitor_id
            and places_of_live_lists.item_id = events.item_id
            and places_of_live_lists.live_from <= events.event_at
            and (places_of_live_lists.live_until is null or places_of_live_lists.live_until > events.event_at)
),

followed_list_places as (
    select distinct
        {{ place_columns }}, visitor_id, live_from, event_type,
        {{ unnested_days('first_outcome_day', 'day') }} as day
    from followed_events
),

followed_list_place_counts as (
    select {{ place_columns }}, day, event_type, count(*) as followed
    from followed_list_places
    group by {{ place_columns }}, day, event_type
),

event_counts as (
    -- each event counts once in a placement, on the day of the event
    select
        {{ place_columns }}, day, event_type,
        count(*) as events, count(revenue) as priced_events, sum(revenue) as revenue
    from followed_events
    group by {{ place_columns }}, day, event_type
)

{{ outcome_rows(ref('outcome_events'), 'followed_list_place_counts', 'event_counts') }}
where list_place_counts_by_day.places > 0
