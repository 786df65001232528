-- Which items are like a given item? Here the given item is the most popular one; put another item_id in its place.
select
    similar_pairs.title,
    similar_pairs.rank,
    similar_pairs.similar_title,
    round(similar_pairs.score, 3) as cosine
from recommendations.similar_items as similar_pairs
where similar_pairs.item_id = (select item_id from recommendations.popular_items where rank = 1)
order by similar_pairs.rank;
