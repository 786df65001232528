-- Two Lorenz curves, each of at most 100 points: one of the items' popularity, one of the number of places in lists
-- that each item has. A curve's items are sorted by this amount, the smallest first. A point says which share of all
-- items lies up to the point, and which share of the total amount these items have together
with list_place_counts_by_item as (
    select item_id, count(*) as places
    from recommendations.visitor_recommendations
    group by item_id
),

item_amounts as (
    select 'popularity' as measure, item_id, popularity as amount
    from recommendations.items
    union all
    select 'places in lists' as measure, items.item_id, coalesce(list_place_counts_by_item.places, 0)::double as amount
    from recommendations.items as items
    left join list_place_counts_by_item on items.item_id = list_place_counts_by_item.item_id
),

amounts_with_percentiles as (
    select measure, amount, ntile(100) over (partition by measure order by amount, item_id) as percentile
    from item_amounts
),

amounts_by_percentile as (
    select measure, percentile, count(*) as items, sum(amount) as amount
    from amounts_with_percentiles
    group by measure, percentile
)

select
    measure,
    (sum(items) over up_to_here / sum(items) over all_items)::double as item_share,
    coalesce(sum(amount) over up_to_here / nullif(sum(amount) over all_items, 0), 0)::double as amount_share
from amounts_by_percentile
window
    up_to_here as (partition by measure order by percentile rows between unbounded preceding and current row),
    all_items as (partition by measure)
order by measure, item_share;
