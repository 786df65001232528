-- Which items are recommended most, and which share of all recommendations do they have, each and together?
-- If the popular items' share here is far above their share of visitors, the model only repeats the bestsellers.
with exposed as (
    -- in how many visitors' lists an item stands
    select
        item_id,
        any_value(title) as title,
        count(*) as lists
    from recommendations.visitor_recommendations
    group by item_id
)

select
    row_number() over by_lists as place,
    exposed.title,
    exposed.lists,
    round(exposed.lists / sum(exposed.lists) over (), 4) as share_of_all_shown,
    round(sum(exposed.lists) over by_lists / sum(exposed.lists) over (), 4) as share_up_to_here,
    popular.rank as popularity_rank,
    popular.score as visitors
from exposed
left join recommendations.popular_items as popular on exposed.item_id = popular.item_id
window by_lists as (order by exposed.lists desc, exposed.item_id rows between unbounded preceding and current row)
order by place
limit 20;
