with first_impression_days_by_placement as (
    -- the day of the first impression of each placement's lists; from then on, impressions tell what visitors saw
    select placement, min({{ day_of('shown_at') }}) as day
    from {{ ref('shown_places') }}
    group by placement
),

outcome_counts as (
    select outcomes_seen.*, 'could have seen' as evidence
    from {{ ref('outcomes_seen') }} as outcomes_seen
    left join first_impression_days_by_placement
        on outcomes_seen.placement = first_impression_days_by_placement.placement
    where first_impression_days_by_placement.day is null or outcomes_seen.day < first_impression_days_by_placement.day
    union all
    select *, 'shown' as evidence
    from {{ ref('outcomes_shown') }}
)

select
    day,
    placement,
    model,
    arm,
    rank,
    event_type,
    evidence,
    places,
    visitors,
    followed,
    events,
    followed / cast(places as double) as rate,
    -- Wilson's interval contains the rate, but its ends are rounded: if all of 15 places were followed, the upper end
    -- is computed as a little less than 1. So an end that lies on the wrong side of the rate is replaced by the rate
    greatest(0.0, least(rate, {{ wilson_bound('followed', 'places', '-') }})) as rate_low,
    least(1.0, greatest(rate, {{ wilson_bound('followed', 'places', '+') }})) as rate_high,
    -- the revenue is null if there are events, but none of their items has a price
    case
        when {{ is_event_type_of_basket_kind('bought', 'event_type') }} and (priced_events > 0 or events = 0) then revenue
    end::double as revenue
from outcome_counts
order by day, placement, model, arm, rank, event_type
