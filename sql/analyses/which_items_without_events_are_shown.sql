-- Which items without any events are recommended already, and to how many visitors? To how many items is each listed as
-- similar? A catalogue owner who has added items can look for them here.
with items_without_events as (
    -- the popularity of an item without events is 0
    select item_id, title
    from recommendations.popular_items
    where score = 0
)

select
    items_without_events.item_id,
    items_without_events.title,
    (
        select count(*)
        from recommendations.visitor_recommendations as list_rows
        where list_rows.item_id = items_without_events.item_id
    ) as visitors,
    (
        select count(*)
        from recommendations.similar_items as similar_pairs
        where similar_pairs.similar_item_id = items_without_events.item_id
    ) as similar_to_items
from items_without_events
where
    items_without_events.item_id in (select item_id from recommendations.visitor_recommendations)
    or items_without_events.item_id in (select similar_item_id from recommendations.similar_items)
order by visitors desc, similar_to_items desc, items_without_events.item_id;
