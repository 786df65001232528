-- Which items are recommended most? Which share of all recommendations does each item have, alone and together with the
-- items above it?
-- The column visitors is the number of visitors with an event on the item. If the most popular items have a far larger
-- share of all recommendations than of these visitors, the model only repeats the bestsellers.
with recommended_items as (
    -- for each item, the number of visitors to whom it is recommended
    select
        item_id,
        any_value(title) as title,
        count(*) as lists
    from recommendations.visitor_recommendations
    group by item_id
)

select
    row_number() over most_recommended_first as place,
    recommended_items.title,
    recommended_items.lists,
    round(recommended_items.lists / sum(recommended_items.lists) over (), 4) as share_of_all_shown,
    round(sum(recommended_items.lists) over most_recommended_first / sum(recommended_items.lists) over (), 4)
        as share_up_to_here,
    popular.rank as popularity_rank,
    popular.score as visitors
from recommended_items
left join recommendations.popular_items as popular on recommended_items.item_id = popular.item_id
window
    most_recommended_first as (
        order by recommended_items.lists desc, recommended_items.item_id
        rows between unbounded preceding and current row
    )
order by place
limit 20;
