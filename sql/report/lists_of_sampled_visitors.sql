-- The first ten rows of the lists of twenty visitors, the same as those that
-- newest_items_of_sampled_visitors.sql draws
with sampled_visitors as (
    select visitor_id
    from recommendations.visitor_recommendations
    group by visitor_id
    order by md5('report' || visitor_id), visitor_id
    limit 20
)

select
    lists.visitor_id, lists.rank, lists.item_id, lists.title, lists.source, lists.reason,
    items.attributes ->> 'image_url' as image_url
from recommendations.visitor_recommendations as lists
inner join sampled_visitors on lists.visitor_id = sampled_visitors.visitor_id
left join recommendations.items as items on lists.item_id = items.item_id
where lists.rank <= 10
order by md5('report' || lists.visitor_id), lists.visitor_id, lists.rank;
