-- The catalogue by category: how many items have an embedding, and how many stand in somebody's list
with recommended as (
    select distinct item_id from recommendations.visitor_recommendations
)

select
    coalesce(items.category, '(no category)') as category,
    count(*) as items,
    count(*) filter (where items.available) as available,
    count(embeddings.item_id) as embedded,
    count(recommended.item_id) as recommended
from catalog.items as items
left join (select distinct item_id from catalog.item_embeddings) as embeddings on items.item_id = embeddings.item_id
left join recommended on items.item_id = recommended.item_id
group by coalesce(items.category, '(no category)')
order by items desc, category
limit 20;
