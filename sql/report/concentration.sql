-- Ten groups of equally many items, from the most popular to the least: the share of popularity that a group has, and
-- its share of the places in lists
with places as (
    select item_id, count(*) as places
    from recommendations.visitor_recommendations
    group by item_id
),

grouped as (
    select
        items.popularity,
        coalesce(places.places, 0) as places,
        ntile(10) over (order by items.popularity desc, items.item_id) as popularity_group
    from recommendations.items as items
    left join places on items.item_id = places.item_id
)

select
    popularity_group,
    count(*) as items,
    coalesce(sum(popularity) / nullif((select sum(popularity) from grouped), 0), 0)::double as popularity_share,
    coalesce(sum(places) / nullif((select sum(places) from grouped), 0), 0)::double as place_share
from grouped
group by popularity_group
order by popularity_group;
