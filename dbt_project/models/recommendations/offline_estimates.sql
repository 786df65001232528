with followed_impressions as (
    select distinct impression_id, event_type
    from {{ ref('credited_events') }}
),

event_types as (
    select distinct event_type from {{ ref('outcome_events') }}
),

estimates as (
    {{ offline_estimates_of_lists(ref('drawn_places'), 'followed_impressions', 'event_types') }}
)

select * from estimates
order by placement, list_placement, model, model_version nulls first, event_type
