{# The list of each item in bought_together or viewed_together is right: its ranks are 1, 2, …, n; each listed item
   comes once, is available, and is not the item itself; scores and lifts are finite, and not below what chance gives.
   This is one test instead of several, because each test takes as much of the night as a small model. #}
{% test ranked_pairs(model) %}
select pairs.item_id, count(*) as row_count
from {{ model }} as pairs
left join {{ ref('items') }} as items on pairs.with_item_id = items.item_id and items.available
group by pairs.item_id
having
    min(pairs.rank) <> 1 or max(pairs.rank) <> count(*) or count(distinct pairs.rank) <> count(*)
    or count(distinct pairs.with_item_id) <> count(*) or count(items.item_id) <> count(*)
    or bool_or(pairs.item_id = pairs.with_item_id)
    or not bool_and(isfinite(pairs.score) and isfinite(pairs.lift))
    or min(pairs.score) < 0 or min(pairs.lift) < 1
    or not bool_and(pairs.confidence > 0 and pairs.confidence <= 1)
    or max(pairs.rank) > {{ var('together_items_per_item') }}
{% endtest %}
