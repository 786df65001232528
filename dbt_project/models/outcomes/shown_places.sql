-- The impressions whose item was in the list that was live for the visitor then. Other impressions say nothing of a
-- list, and are left out: their item is in no list of the visitor, or in one that had been replaced before.
select
    impressions.impression_id,
    lists.placement,
    lists.visitor_id,
    coalesce(impressions.rank, lists.rank) as rank,
    lists.item_id,
    lists.model,
    lists.arm,
    impressions.shown_at
from {{ ref('stg_impressions') }} as impressions
inner join {{ ref('live_lists') }} as lists
    on
        impressions.placement = lists.placement
        and impressions.visitor_id = lists.visitor_id
        and impressions.item_id = lists.item_id
        and impressions.shown_at >= lists.live_from
        and (lists.live_until is null or impressions.shown_at < lists.live_until)
