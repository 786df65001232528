-- This model is a table instead of a view, because two models read it.
{{ config(materialized='table') }}

-- an event is credited to the latest impression before it that has the same visitor, item and placement, even if no
-- list put the item there
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
