-- Which items are like a given one? Here the given one is the most popular item; put another item_id in its place.
select
    pairs.title,
    pairs.rank,
    pairs.similar_title,
    round(pairs.score, 3) as cosine
from recommendations.similar_items as pairs
where pairs.item_id = (select item_id from recommendations.popular_items where rank = 1)
order by pairs.rank;
