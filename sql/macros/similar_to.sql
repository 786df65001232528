-- The items that are like a given item, most similar first. For example:
-- select * from similar_to('i00042');
create or replace macro similar_to(wanted_item_id) as table
select rank, similar_item_id, similar_title, score
from recommendations.similar_items
where item_id = wanted_item_id
order by rank;
