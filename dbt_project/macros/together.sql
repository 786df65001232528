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
    -- the number of baskets whose pairs are in pair_counts
    select count(*) as baskets
    from {{ ref('baskets') }}
    where is_counted and {{ kind }}_items is not null
),

counted_pairs as materialized (
    -- the large table is read once: an item that is often together with another is in as many baskets
    select item_number, with_item_number, together
    from {{ ref('pair_counts') }}
    where is_bought = {{ kind == 'bought' }} and together >= {{ var('together_min_sessions') }}
),

items_with_basket_counts as materialized (
    -- id_order is the item's place by item_id: of equal scores the lower item_id comes first
    select
        counted_pairs.item_number,
        items.item_id,
        items.title,
        items.available,
        counted_pairs.together as baskets,
        row_number() over (order by items.item_id) as id_order
    from counted_pairs
    inner join {{ ref('basket_items') }} as numbered_items on counted_pairs.item_number = numbered_items.item_number
    inner join {{ ref('items') }} as items on numbered_items.item_id = items.item_id
    where counted_pairs.item_number = counted_pairs.with_item_number
),

known_pairs as (
    select
        pairs.together,
        first_items.id_order,
        second_items.id_order as with_id_order,
        first_items.available,
        second_items.available as with_available,
        least(first_items.baskets, second_items.baskets) as fewer_baskets,
        greatest(first_items.baskets, second_items.baskets) as more_baskets
    from counted_pairs as pairs
    inner join items_with_basket_counts as first_items on pairs.item_number = first_items.item_number
    inner join items_with_basket_counts as second_items on pairs.with_item_number = second_items.item_number
    where pairs.item_number <> pairs.with_item_number
),

scored_pairs as materialized (
    -- each pair once: its score is the same from either item, to the last digit, because the rarer item comes first
    select
        pairs.together,
        pairs.id_order,
        pairs.with_id_order,
        pairs.available,
        pairs.with_available,
        {{ log_likelihood_ratio(
            'pairs.together', 'pairs.fewer_baskets', 'pairs.more_baskets', 'basket_total.baskets'
        ) }} as score
    from known_pairs as pairs
    cross join basket_total
    -- a pair that is in fewer baskets than chance would give is left out: its score would be high, because the items
    -- avoid each other
    where
        cast(pairs.together as double) * basket_total.baskets
        > cast(pairs.fewer_baskets as double) * pairs.more_baskets
),

pairs_of_both_orders as (
    select id_order, with_id_order, together, score
    from scored_pairs
    where with_available
    union all
    select with_id_order as id_order, id_order as with_id_order, together, score
    from scored_pairs
    where available
),

least_scores as (
    -- the score that a pair needs to be listed
    select id_order, {{ least_of_largest('score', var('together_items_per_item')) }} as score
    from pairs_of_both_orders
    group by id_order
),

ranked_pairs as (
    -- only the pairs that can be listed are sorted: of millions, sorting takes longer than all the rest
    select
        pairs.*,
        row_number() over (
            partition by pairs.id_order order by pairs.score desc, pairs.with_id_order
        )::integer as rank
    from pairs_of_both_orders as pairs
    inner join least_scores on pairs.id_order = least_scores.id_order and pairs.score >= least_scores.score
)

-- the texts of items are looked up for the listed pairs alone
select
    items.item_id,
    pairs.rank,
    other_items.item_id as with_item_id,
    items.title,
    other_items.title as with_title,
    pairs.together,
    pairs.together / cast(items.baskets as double) as confidence,
    cast(pairs.together as double) * basket_total.baskets / (cast(items.baskets as double) * other_items.baskets)
        as lift,
    pairs.score
from ranked_pairs as pairs
inner join items_with_basket_counts as items on pairs.id_order = items.id_order
inner join items_with_basket_counts as other_items on pairs.with_id_order = other_items.id_order
cross join basket_total
where pairs.rank <= {{ var('together_items_per_item') }}
order by pairs.id_order, pairs.rank
{%- endmacro %}

{# Aggregate for the least of the `count` largest values of a column. #}
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
