-- The most popular items, each with the titles of the five most similar items; texts are cut, so that the page stays
-- small
with popular_items as (
    select item_id, title, brand, category, price, popularity
    from recommendations.items
    order by popularity desc, item_id
    limit 2000
),

similar_titles as (
    select
        similar_pairs.item_id,
        list(left(coalesce(similar_pairs.similar_title, similar_pairs.similar_item_id), 100) order by similar_pairs.rank)
            as titles
    from recommendations.similar_items as similar_pairs
    inner join popular_items on similar_pairs.item_id = popular_items.item_id
    where similar_pairs.rank <= 5
    group by similar_pairs.item_id
)

select
    left(popular_items.item_id, 100) as item_id,
    left(coalesce(popular_items.title, ''), 100) as title,
    left(coalesce(popular_items.brand, ''), 60) as brand,
    left(coalesce(popular_items.category, ''), 60) as category,
    popular_items.price::double as price,
    popular_items.popularity,
    coalesce(similar_titles.titles, []) as neighbours
from popular_items
left join similar_titles on popular_items.item_id = similar_titles.item_id
order by popular_items.popularity desc, popular_items.item_id;
