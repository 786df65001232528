-- The largest categories, each with the number of its items, of those with an embedding, and of those in a visitor's
-- list
with recommended_items as (
    select distinct item_id from recommendations.visitor_recommendations
),

embedded_items as (
    select distinct item_id from catalog.item_embeddings
)

select
    coalesce(items.category, '(no category)') as category,
    count(*) as items,
    count(*) filter (where items.available) as available,
    count(embedded_items.item_id) as embedded,
    count(recommended_items.item_id) as recommended
from catalog.items as items
left join embedded_items on items.item_id = embedded_items.item_id
left join recommended_items on items.item_id = recommended_items.item_id
group by coalesce(items.category, '(no category)')
order by items desc, category
limit 20;
