{# Macros for the tables bought_together, viewed_together and trending_items: which items belong together, and how sure
   that is. #}

{# The log-likelihood ratio of a table of two by two counts: twice the sum of count * ln(count / expected), where the
   expected count is row total * column total / total (T. Dunning, Accurate Methods for the Statistics of Surprise and
   Coincidence, Computational Linguistics 19, 1993). 0 means no connection. By chance alone, 5 % of tables have a ratio
   above 3.8, and 0.1 % one above 10.8. The exact ratio is never below 0. The computed sum can be a little below 0,
   because its digits are limited; the result is 0 then. `joint_count` is the count in the first row and the first
   column. All arguments are whole numbers. #}
{% macro log_likelihood_ratio(joint_count, row_total, column_total, total) -%}
    greatest(0.0, 2 * (
        {{ likelihood_term(joint_count, row_total, column_total, total) }}
        + {{ likelihood_term(row_total ~ ' - ' ~ joint_count, row_total, total ~ ' - ' ~ column_total, total) }}
        + {{ likelihood_term(column_total ~ ' - ' ~ joint_count, total ~ ' - ' ~ row_total, column_total, total) }}
        + {{ likelihood_term(
            total ~ ' - ' ~ row_total ~ ' - ' ~ column_total ~ ' + ' ~ joint_count, total ~ ' - ' ~ row_total,
            total ~ ' - ' ~ column_total, total
        ) }}
    ))
{%- endmacro %}

{% macro likelihood_term(observed, row_total, column_total, total) -%}
    case when {{ observed }} > 0 then
        ({{ observed }}) * ln(
            cast({{ observed }} as double) * ({{ total }}) / (cast({{ row_total }} as double) * ({{ column_total }}))
        )
    else 0 end
{%- endmacro %}

{# Query that lists, for each item, the items that are in the same baskets more often than by chance, at most
   `together_items_per_item` of them, by score. If scores are equal, the lower item_id comes first. `basket_kind` is
   viewed or bought. #}
{% macro items_in_same_baskets(basket_kind) -%}
with total_basket_count as (
    -- the number of baskets whose pairs are in pair_counts
    select count(*) as basket_count
    from {{ ref('baskets') }}
    where is_counted and {{ basket_kind }}_items is not null
),

frequent_pairs as materialized (
    -- The large table is read once, for pairs of two items and for the number of each item's baskets (the row of an item
    -- with itself). No such number is missing, because an item is in at least as many baskets as any of its pairs
    select item_number, with_item_number, together
    from {{ ref('pair_counts') }}
    where is_bought = {{ basket_kind == 'bought' }} and together >= {{ var('together_min_sessions') }}
),

items_with_basket_counts as materialized (
    -- item_id_rank is the item's place in the order of item_ids; numbers are compared faster than texts
    select
        frequent_pairs.item_number,
        items.item_id,
        items.title,
        items.available,
        frequent_pairs.together as basket_count,
        row_number() over (order by items.item_id) as item_id_rank
    from frequent_pairs
    inner join {{ ref('basket_items') }} as numbered_items on frequent_pairs.item_number = numbered_items.item_number
    inner join {{ ref('items') }} as items on numbered_items.item_id = items.item_id
    where frequent_pairs.item_number = frequent_pairs.with_item_number
),

pairs_of_catalog_items as (
    select
        pairs.together,
        first_items.item_id_rank,
        second_items.item_id_rank as with_item_id_rank,
        first_items.available,
        second_items.available as with_available,
        least(first_items.basket_count, second_items.basket_count) as smaller_basket_count,
        greatest(first_items.basket_count, second_items.basket_count) as larger_basket_count
    from frequent_pairs as pairs
    inner join items_with_basket_counts as first_items on pairs.item_number = first_items.item_number
    inner join items_with_basket_counts as second_items on pairs.with_item_number = second_items.item_number
    where pairs.item_number <> pairs.with_item_number
),

scored_pairs as materialized (
    -- each pair of items once, so that both of its items get the same score, to the last digit
    select
        pairs.together,
        pairs.item_id_rank,
        pairs.with_item_id_rank,
        pairs.available,
        pairs.with_available,
        {{ log_likelihood_ratio(
            'pairs.together', 'pairs.smaller_basket_count', 'pairs.larger_basket_count',
            'total_basket_count.basket_count'
        ) }} as score
    from pairs_of_catalog_items as pairs
    cross join total_basket_count
    -- only pairs that are in more baskets than by chance: items that avoid each other would have a high score too
    where
        cast(pairs.together as double) * total_basket_count.basket_count
        > cast(pairs.smaller_basket_count as double) * pairs.larger_basket_count
),

pairs_in_both_orders as (
    select item_id_rank, with_item_id_rank, together, score
    from scored_pairs
    where with_available
    union all
    select with_item_id_rank as item_id_rank, item_id_rank as with_item_id_rank, together, score
    from scored_pairs
    where available
),

least_listed_scores as (
    -- the lowest score that is listed for each item
    select item_id_rank, {{ least_of_largest('score', var('together_items_per_item')) }} as score
    from pairs_in_both_orders
    group by item_id_rank
),

ranked_pairs as (
    -- only pairs whose score is high enough are sorted, because to sort millions of pairs takes longest of all
    select
        pairs.*,
        row_number() over (
            partition by pairs.item_id_rank order by pairs.score desc, pairs.with_item_id_rank
        )::integer as rank
    from pairs_in_both_orders as pairs
    inner join least_listed_scores
        on pairs.item_id_rank = least_listed_scores.item_id_rank and pairs.score >= least_listed_scores.score
)

-- item_ids and titles are looked up last, for the listed pairs only
select
    items.item_id,
    pairs.rank,
    other_items.item_id as with_item_id,
    items.title,
    other_items.title as with_title,
    pairs.together,
    pairs.together / cast(items.basket_count as double) as confidence,
    cast(pairs.together as double) * total_basket_count.basket_count
    / (cast(items.basket_count as double) * other_items.basket_count) as lift,
    pairs.score
from ranked_pairs as pairs
inner join items_with_basket_counts as items on pairs.item_id_rank = items.item_id_rank
inner join items_with_basket_counts as other_items on pairs.with_item_id_rank = other_items.item_id_rank
cross join total_basket_count
where pairs.rank <= {{ var('together_items_per_item') }}
order by pairs.item_id_rank, pairs.rank
{%- endmacro %}

{# Aggregate that returns the smallest of the `count` largest values of a column. #}
{% macro least_of_largest(column, count) -%}
    {{ return(adapter.dispatch('least_of_largest', 'nextmart')(column, count)) }}
{%- endmacro %}

{% macro default__least_of_largest(column, count) -%}
    max({{ column }}, {{ count }})[-1]
{%- endmacro %}

{# The text of an attribute in a column of JSON objects; null if an object lacks the attribute. #}
{% macro attribute_text(attributes, name) -%}
    {{ return(adapter.dispatch('attribute_text', 'nextmart')(attributes, name)) }}
{%- endmacro %}

{% macro default__attribute_text(attributes, name) -%}
    {{ attributes }} ->> '$."{{ name | replace("'", "''") }}"'
{%- endmacro %}
