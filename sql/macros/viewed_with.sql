-- The items that sessions viewed together with a given item, those of the highest score first. For example:
-- select * from viewed_with('i00042');
create or replace macro viewed_with(wanted_item_id) as table
select rank, with_item_id, with_title, together, confidence, lift, score
from recommendations.viewed_together
where item_id = wanted_item_id
order by rank;
