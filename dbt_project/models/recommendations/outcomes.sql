with shown_since as (
    -- the day of the first impression of each placement's lists; since then, impressions tell what visitors saw
    select placement, min({{ day_of('shown_at') }}) as day
    from {{ ref('shown_places') }}
    group by placement
),

places as (
    select seen.*, 'could have seen' as evidence
    from {{ ref('outcomes_seen') }} as seen
    left join shown_since on seen.placement = shown_since.placement
    where shown_since.day is null or seen.day < shown_since.day
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
    greatest(0.0, {{ wilson_bound('followed', 'places', '-') }}) as rate_low,
    least(1.0, {{ wilson_bound('followed', 'places', '+') }}) as rate_high,
    -- the revenue is null if there are events, but none of their items has a price
    case
        when {{ is_type_of('bought', 'event_type') }} and (priced_events > 0 or events = 0) then revenue
    end::double as revenue
from places
order by day, placement, model, arm, rank, event_type
