-- Two Lorenz curves in at most 100 steps: items from the least to the most, and the share of all popularity, or of all
-- places in lists, that the items up to there have together
with places as (
    select item_id, count(*) as places
    from recommendations.visitor_recommendations
    group by item_id
),

amounts as (
    select 'popularity' as measure, item_id, popularity as amount
    from recommendations.items
    union all
    select 'places in lists' as measure, items.item_id, coalesce(places.places, 0)::double as amount
    from recommendations.items as items
    left join places on items.item_id = places.item_id
),

stepped as (
    select measure, amount, ntile(100) over (partition by measure order by amount, item_id) as step
    from amounts
),

steps as (
    select measure, step, count(*) as items, sum(amount) as amount
    from stepped
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
