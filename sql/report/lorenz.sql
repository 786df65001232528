-- Two Lorenz curves, each of at most 100 points: one of the popularity of items, one of their places in lists. Items
-- are sorted from the least to the most of it. A point says which share of the total the items up to it have together
with places_of_items as (
    select item_id, count(*) as places
    from recommendations.visitor_recommendations
    group by item_id
),

item_amounts as (
    select 'popularity' as measure, item_id, popularity as amount
    from recommendations.items
    union all
    select 'places in lists' as measure, items.item_id, coalesce(places_of_items.places, 0)::double as amount
    from recommendations.items as items
    left join places_of_items on items.item_id = places_of_items.item_id
),

amounts_with_steps as (
    select measure, amount, ntile(100) over (partition by measure order by amount, item_id) as step
    from item_amounts
),

steps as (
    select measure, step, count(*) as items, sum(amount) as amount
    from amounts_with_steps
    group by measure, step
)

select
    measure,
    (sum(items) over up_to_here / sum(items) over all_items)::double as item_share,
    coalesce(sum(amount) over up_to_here / nullif(sum(amount) over all_items, 0), 0)::double as amount_share
from steps
window
    up_to_here as (partition by measure order by step rows between unbounded preceding and current row),
    all_items as (partition by measure)
order by measure, item_share;
