-- The impressions of items that the shop drew at random, combined with each list that was live for the visitor then and
-- has an item at that rank. weight is above 0 if the list has the drawn item there, so that it would have shown the
-- same. Impressions whose outcome window has not passed are left out, because events are still to come.
with newest_event_time as (
    select max(event_at) as event_at from {{ ref('session_items') }}
)

select
    drawn_impressions.placement,
    drawn_impressions.impression_id,
    drawn_impressions.visitor_id,
    lists.placement as list_placement,
    lists.model,
    lists.model_version,
    case when drawn_impressions.item_id = lists.item_id then 1 / drawn_impressions.propensity else 0 end as weight
from {{ ref('stg_impressions') }} as drawn_impressions
inner join newest_event_time on drawn_impressions.shown_at + {{ outcome_window() }} <= newest_event_time.event_at
inner join {{ ref('live_lists') }} as lists
    on
        drawn_impressions.visitor_id = lists.visitor_id
        and drawn_impressions.rank = lists.rank
        and drawn_impressions.shown_at >= lists.live_from
        and (lists.live_until is null or drawn_impressions.shown_at < lists.live_until)
where drawn_impressions.propensity is not null
