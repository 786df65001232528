{% set place_columns = 'placement, model, arm, rank' %}

with shown_places_with_days as (
    select *, {{ day_of('shown_at') }} as day
    from {{ ref('shown_places') }}
),

list_place_counts_by_day as (
    select day, {{ place_columns }}, count(*) as places, count(distinct visitor_id) as visitors
    from shown_places_with_days
    group by day, {{ place_columns }}
),

outcome_counts as (
    select
        {{ place_columns }}, day, event_type,
        count(distinct impression_id) as followed,
        count(*) as events,
        count(revenue) as priced_events,
        sum(revenue) as revenue
    from shown_places_with_days
    inner join {{ ref('credited_events') }} using (impression_id)
    group by {{ place_columns }}, day, event_type
)

{{ outcome_rows(ref('outcome_events'), 'outcome_counts', 'outcome_counts') }}
