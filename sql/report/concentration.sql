-- How much recommendations concentrate on popular items: the items in ten groups of equal size, from the most popular
-- to the least popular, each with its share of all popularity and its share of all places in visitors' lists
with list_place_counts_by_item as (
    select item_id, count(*) as places
    from recommendations.visitor_recommendations
    group by item_id
),

items_with_popularity_groups as (
    select
        items.popularity,
        coalesce(list_place_counts_by_item.places, 0) as places,
        ntile(10) over (order by items.popularity desc, items.item_id) as popularity_group
    from recommendations.items as items
    left join list_place_counts_by_item on items.item_id = list_place_counts_by_item.item_id
)

select
    popularity_group,
    count(*) as items,
    coalesce(sum(popularity) / nullif(sum(sum(popularity)) over (), 0), 0)::double as popularity_share,
    coalesce(sum(places) / nullif(sum(sum(places)) over (), 0), 0)::double as place_share
from items_with_popularity_groups
group by popularity_group
order by popularity_group;
