{% set place = 'placement, model, arm, rank' %}

with shown_on_days as (
    select *, {{ day_of('shown_at') }} as day
    from {{ ref('shown_places') }}
),

days as (
    select day, {{ place }}, count(*) as places, count(distinct visitor_id) as visitors
    from shown_on_days
    group by day, {{ place }}
),

credits as (
    -- an event is an outcome of the latest impression before it, of the same visitor, item and placement, even if that
    -- impression belongs to no list
    select impressions.impression_id, events.event_type, events.revenue
    from {{ ref('outcome_events') }} as events
    inner join {{ ref('stg_impressions') }} as impressions
        on
            events.visitor_id = impressions.visitor_id
            and events.item_id = impressions.item_id
            and events.event_at >= impressions.shown_at
            and events.event_at < impressions.shown_at + {{ outcome_window() }}
    qualify row_number() over (
        partition by events.event_key, impressions.placement
        order by impressions.shown_at desc, impressions.impression_id desc
    ) = 1
),

outcomes as (
    select
        {{ place }}, day, event_type,
        count(distinct impression_id) as followed,
        count(*) as events,
        count(revenue) as priced_events,
        sum(revenue) as revenue
    from shown_on_days
    inner join credits using (impression_id)
    group by {{ place }}, day, event_type
),

event_types as (
    select distinct event_type from {{ ref('outcome_events') }}
)

select
    days.day,
    days.placement,
    days.model,
    days.arm,
    days.rank,
    event_types.event_type,
    days.places,
    days.visitors,
    coalesce(outcomes.followed, 0) as followed,
    coalesce(outcomes.events, 0) as events,
    coalesce(outcomes.priced_events, 0) as priced_events,
    coalesce(outcomes.revenue, 0) as revenue
from days
cross join event_types
left join outcomes
    on
        days.day = outcomes.day and days.placement = outcomes.placement and days.model = outcomes.model
        and days.arm = outcomes.arm and days.rank = outcomes.rank and event_types.event_type = outcomes.event_type
