-- The most popular items, each with the five items whose texts are nearest to its own; texts are cut, so that the page
-- stays small
with chosen as (
    select item_id, title, brand, category, price, popularity
    from recommendations.items
    order by popularity desc, item_id
    limit 2000
),

neighbours as (
    select
        similar_pairs.item_id,
        list(left(coalesce(similar_pairs.similar_title, similar_pairs.similar_item_id), 100) order by similar_pairs.rank)
            as titles
    from recommendations.similar_items as similar_pairs
    inner join chosen on similar_pairs.item_id = chosen.item_id
    where similar_pairs.rank <= 5
    group by similar_pairs.item_id
)

select
    left(chosen.item_id, 100) as item_id,
    left(coalesce(chosen.title, ''), 100) as title,
    left(coalesce(chosen.brand, ''), 60) as brand,
    left(coalesce(chosen.category, ''), 60) as category,
    chosen.price::double as price,
    chosen.popularity,
    coalesce(neighbours.titles, []) as neighbours
from chosen
left join neighbours on chosen.item_id = neighbours.item_id
order by chosen.popularity desc, chosen.item_id;
