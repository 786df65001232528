{% set place = 'placement, model, arm, rank' %}

with shown_places_with_days as (
    select *, {{ day_of('shown_at') }} as day
    from {{ ref('shown_places') }}
),

list_days as (
    select day, {{ place }}, count(*) as places, count(distinct visitor_id) as visitors
    from shown_places_with_days
    group by day, {{ place }}
),

outcome_counts as (
    select
        {{ place }}, day, event_type,
        count(distinct impression_id) as followed,
        count(*) as events,
        count(revenue) as priced_events,
        sum(revenue) as revenue
    from shown_places_with_days
    inner join {{ ref('credited_events') }} using (impression_id)
    group by {{ place }}, day, event_type
)

{{ outcome_rows(ref('outcome_events'), 'outcome_counts', 'outcome_counts') }}
