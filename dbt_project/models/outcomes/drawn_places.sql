-- Each place for which an item was drawn at random, beside each list that was live for the visitor then and has an item
-- at that rank: whether the list would have shown the item that was drawn, and how much that one stands for. Places
-- whose window has not passed are left out, since events are still to come
with newest_event as (
    select max(event_at) as event_at from {{ ref('session_items') }}
)

select
    drawn.placement,
    drawn.impression_id,
    drawn.visitor_id,
    lists.placement as list_placement,
    lists.model,
    lists.model_version,
    case when drawn.item_id = lists.item_id then 1 / drawn.propensity else 0 end as weight
from {{ ref('stg_impressions') }} as drawn
inner join newest_event on drawn.shown_at + {{ outcome_window() }} <= newest_event.event_at
inner join {{ ref('live_lists') }} as lists
    on
        drawn.visitor_id = lists.visitor_id
        and drawn.rank = lists.rank
        and drawn.shown_at >= lists.live_from
        and (lists.live_until is null or drawn.shown_at < lists.live_until)
where drawn.propensity is not null
