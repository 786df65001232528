-- Which items are recommended most, and which share of all recommendations does each have, alone and with those above?
-- If the popular items' share here is far above their share of visitors, the model only repeats the bestsellers.
with list_counts as (
    -- for each item, the number of visitors to whom it is recommended
    select
        item_id,
        any_value(title) as title,
        count(*) as lists
    from recommendations.visitor_recommendations
    group by item_id
)

select
    row_number() over by_lists as place,
    list_counts.title,
    list_counts.lists,
    round(list_counts.lists / sum(list_counts.lists) over (), 4) as share_of_all_shown,
    round(sum(list_counts.lists) over by_lists / sum(list_counts.lists) over (), 4) as share_up_to_here,
    popular.rank as popularity_rank,
    popular.score as visitors
from list_counts
left join recommendations.popular_items as popular on list_counts.item_id = popular.item_id
window
    by_lists as (
        order by list_counts.lists desc, list_counts.item_id
        rows between unbounded preceding and current row
    )
order by place
limit 20;
