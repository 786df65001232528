-- The visitors who probably want a given item most. First come visitors whose list has the item, sorted by its rank in
-- the list; their via_item_id is null. Then come visitors who are interested in a neighbour of the item: an item that
-- is bought or viewed together with it, or similar to it, and that is a reason in the visitor's list. They are sorted
-- by the rank of the neighbour, which is their via_item_id. For example: select * from audience_of('i00042') limit 100;
create or replace macro audience_of(wanted_item_id) as table
with neighbour_items as (
    select neighbour_id, min(rank) as neighbour_rank
    from (
        select with_item_id as neighbour_id, rank from recommendations.bought_together where item_id = wanted_item_id
        union all
        select with_item_id, rank from recommendations.viewed_together where item_id = wanted_item_id
        union all
        select similar_item_id, rank from recommendations.similar_items where item_id = wanted_item_id
    ) as lists_of_neighbours
    group by neighbour_id
),

interested_visitors as (
    select visitor_id, rank as list_rank, null as neighbour_rank, null as via_item_id
    from recommendations.visitor_recommendations
    where item_id = wanted_item_id

    union all
    -- if several reasons in a visitor's list are neighbours of the item, the one of the best rank counts
    select
        lists.visitor_id,
        null as list_rank,
        min(neighbour_items.neighbour_rank) as neighbour_rank,
        arg_min(neighbour_items.neighbour_id, (neighbour_items.neighbour_rank, neighbour_items.neighbour_id))
            as via_item_id
    from recommendations.visitor_recommendations as lists
    inner join neighbour_items on lists.reason_item_id = neighbour_items.neighbour_id
    where
        lists.visitor_id not in (
            select visitor_id from recommendations.visitor_recommendations where item_id = wanted_item_id
        )
    group by lists.visitor_id
)

select
    row_number() over (order by list_rank nulls last, neighbour_rank, visitor_id) as rank,
    visitor_id,
    list_rank,
    via_item_id,
    coalesce(
        'rank ' || list_rank || ' of the visitor''s list', 'interested in ' || coalesce(items.title, via_item_id)
    ) as reason
from interested_visitors
left join recommendations.items as items on interested_visitors.via_item_id = items.item_id
order by rank;
