-- Which items without any events are shown already, to how many visitors, and as similar to how many items?
-- A catalogue owner who has added items can look for them here.
with without_events as (
    -- an item that nobody has clicked has popularity 0
    select item_id, title
    from recommendations.popular_items
    where score = 0
)

select
    fresh.item_id,
    fresh.title,
    (
        select count(*)
        from recommendations.visitor_recommendations as chosen
        where chosen.item_id = fresh.item_id
    ) as visitors,
    (
        select count(*)
        from recommendations.similar_items as pairs
        where pairs.similar_item_id = fresh.item_id
    ) as similar_to_items
from without_events as fresh
where
    fresh.item_id in (select item_id from recommendations.visitor_recommendations)
    or fresh.item_id in (select similar_item_id from recommendations.similar_items)
order by visitors desc, similar_to_items desc, fresh.item_id;
