-- The number of items in the catalogue, of available ones, of those with an embedding, and of those in a visitor's list
select
    count(*) as items,
    count(*) filter (where available) as available,
    count(*) filter (where item_id in (select item_id from catalog.item_embeddings)) as embedded,
    count(*) filter (where item_id in (select item_id from recommendations.visitor_recommendations)) as recommended
from catalog.items;
