{# Macros for the tables bought_together, viewed_together and trending_items. #}

{# The log-likelihood ratio of a table of two by two counts: twice the sum of count * ln(count / expected), where the
   expected count is row total * column total / total (T. Dunning, Accurate Methods for the Statistics of Surprise and
   Coincidence, Computational Linguistics 19, 1993). 0 means no connection; chance alone exceeds 3.8 in 5 % of tables,
   and 10.8 in 0.1 %. `joint_count` is the count in the first row and the first column; the totals are whole numbers. #}
{% macro log_likelihood_ratio(joint_count, row_total, column_total, total) -%}
    2 * (
        {{ likelihood_term(joint_count, row_total, column_total, total) }}
        + {{ likelihood_term(row_total ~ ' - ' ~ joint_count, row_total, total ~ ' - ' ~ column_total, total) }}
        + {{ likelihood_term(column_total ~ ' - ' ~ joint_count, total ~ ' - ' ~ row_total, column_total, total) }}
        + {{ likelihood_term(
            total ~ ' - ' ~ row_total ~ ' - ' ~ column_total ~ ' + ' ~ joint_count, total ~ ' - ' ~ row_total,
            total ~ ' - ' ~ column_total, total
        ) }}
    )
{%- endmacro %}

{% macro likelihood_term(observed, row_total, column_total, total) -%}
    case when {{ observed }} > 0 then
        ({{ observed }}) * ln(
            cast({{ observed }} as double) * ({{ total }}) / (cast({{ row_total }} as double) * ({{ column_total }}))
        )
    else 0 end
{%- endmacro %}

{# Query that lists, for each item, the items that are in the same baskets more often than by chance. Baskets are of
   a kind, viewed or bought. The `together_items_per_item` items of the highest scores are listed; of equal scores
   the lower item_id comes first. #}
{% macro items_in_same_baskets(kind) -%}
with basket_total as (
    -- the number of baskets whose pairs are in basket_pairs
    select count(*) as baskets
    from {{ ref('baskets') }}
    where is_counted and {{ kind }}_items is not null
),

counted_pairs as materialized (
    -- the large table is read once: an item that is often together with another is in as many baskets
    select item_id, with_item_id, together
    from {{ ref('basket_pairs') }}
    where kind = '{{ kind }}' and together >= {{ var('together_min_sessions') }}
),

items_with_basket_counts as (
    select items.item_id, items.title, items.available, counted_pairs.together as baskets
    from counted_pairs
    inner join {{ ref('items') }} as items on counted_pairs.item_id = items.item_id
    where counted_pairs.item_id = counted_pairs.with_item_id
),

scored_pairs as (
    -- each pair once: its score is the same from either item
    select
        pairs.item_id,
        pairs.with_item_id,
        pairs.together,
        first_items.baskets as item_baskets,
        second_items.baskets as with_item_baskets,
        first_items.title,
        second_items.title as with_title,
        first_items.available,
        second_items.available as with_available,
        basket_total.baskets as all_baskets,
        {{ log_likelihood_ratio(
            'pairs.together', 'first_items.baskets', 'second_items.baskets', 'basket_total.baskets'
        ) }} as score
    from counted_pairs as pairs
    inner join items_with_basket_counts as first_items on pairs.item_id = first_items.item_id
    inner join items_with_basket_counts as second_items on pairs.with_item_id = second_items.item_id
    cross join basket_total
    where
        pairs.item_id <> pairs.with_item_id
        -- a pair that is in fewer baskets than chance would give is left out: its score would be high, because the
        -- items avoid each other
        and cast(pairs.together as double) * basket_total.baskets
        > cast(first_items.baskets as double) * second_items.baskets
),

pairs_of_both_orders as (
    select
        item_id, with_item_id, title, with_title, together, item_baskets, with_item_baskets, all_baskets, score
    from scored_pairs
    where with_available
    union all
    select
        with_item_id as item_id, item_id as with_item_id, with_title as title, title as with_title, together,
        with_item_baskets as item_baskets, item_baskets as with_item_baskets, all_baskets, score
    from scored_pairs
    where available
),

ranked_pairs as (
    select *, row_number() over (partition by item_id order by score desc, with_item_id)::integer as rank
    from pairs_of_both_orders
)

select
    item_id,
    rank,
    with_item_id,
    title,
    with_title,
    together,
    together / cast(item_baskets as double) as confidence,
    cast(together as double) * all_baskets / (cast(item_baskets as double) * with_item_baskets) as lift,
    score
from ranked_pairs
where rank <= {{ var('together_items_per_item') }}
order by item_id, rank
{%- endmacro %}

{# The text of an attribute in a column of JSON objects; null if an object lacks the attribute. #}
{% macro attribute_text(attributes, name) -%}
    {{ return(adapter.dispatch('attribute_text', 'nextmart')(attributes, name)) }}
{%- endmacro %}

{% macro default__attribute_text(attributes, name) -%}
    {{ attributes }} ->> '$."{{ name | replace("'", "''") }}"'
{%- endmacro %}
