-- The items to show one visitor; a visitor without recommendations gets the 20 most popular items. For example:
-- select * from recommendations_for('v42');
create or replace macro recommendations_for(wanted_visitor_id) as table
select rank, item_id, title, score, source, reason
from recommendations.visitor_recommendations
where visitor_id = wanted_visitor_id
union all
select rank, item_id, title, score, 'popularity' as source, 'popular with other visitors' as reason
from recommendations.popular_items
where
    rank <= 20
    and wanted_visitor_id not in (select visitor_id from recommendations.visitor_recommendations)
order by rank;
