-- A table, since two models read it
{{ config(materialized='table') }}

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
