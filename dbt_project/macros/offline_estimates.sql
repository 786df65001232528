{# Macros of offline_estimates: what lists would have got that were not shown. #}

{# Query for the self-normalized inverse-propensity estimate of lists (A. Swaminathan, T. Joachims, The Self-Normalized
   Estimator for Counterfactual Learning, NeurIPS 2015): of the places where the list would have shown the item that was
   drawn, the share that was followed, each weighted by 1 / propensity:
       estimate = sum(weight * followed) / sum(weight)
   Its variance is that of a ratio, with visitors as the independent units (a visitor's places are not):
       sum over visitors of (sum of weight * followed - estimate * sum of weight)^2 / sum(weight)^2
   `drawn_places` has a row for each place and list, as the model of that name does; `followed_impressions` has the
   distinct pairs of an impression and a type of event that followed it. Rows without a model_version are those of all versions of the model together. #}
{% macro offline_estimates_of_lists(drawn_places, followed_impressions, event_types) -%}
{%- set lists = 'placement, list_placement, model, model_version' -%}
with weighted_places as (
    select placement, list_placement, model, model_version, impression_id, visitor_id, weight from {{ drawn_places }}
    union all
    select placement, list_placement, model, null as model_version, impression_id, visitor_id, weight
    from {{ drawn_places }}
),

sums_by_visitor as (
    select
        {{ lists }}, visitor_id,
        count(*) as places,
        count(*) filter (where weight > 0) as shown_places,
        sum(weight) as weight
    from weighted_places
    group by {{ lists }}, visitor_id
),

sums_by_list as (
    select
        {{ lists }},
        sum(places) as places,
        sum(shown_places) as shown_places,
        count(*) filter (where weight > 0) as shown_visitors,
        sum(weight) as weight,
        sum(weight * weight) as squares,
        -- weights are 1 on average if items were drawn with the logged propensities, and each item of a list could be
        sum(weight) / sum(places) as mean_weight,
        abs(sum(weight) - sum(places)) / nullif(sqrt(sum((weight - places) * (weight - places))), 0) as deviations
    from sums_by_visitor
    group by {{ lists }}
),

followed_sums_by_visitor as (
    select
        {{ lists }}, weighted_places.visitor_id, follows.event_type,
        count(*) as followed,
        sum(weighted_places.weight) as weight
    from weighted_places
    inner join {{ followed_impressions }} as follows on weighted_places.impression_id = follows.impression_id
    group by {{ lists }}, weighted_places.visitor_id, follows.event_type
),

followed_sums_by_list as (
    select
        followed.placement, followed.list_placement, followed.model, followed.model_version, followed.event_type,
        sum(followed.followed) as followed,
        count(*) filter (where followed.weight > 0) as visitors,
        sum(followed.weight) as weight,
        sum(followed.weight * followed.weight) as squares,
        sum(followed.weight * visitors.weight) as products
    from followed_sums_by_visitor as followed
    inner join sums_by_visitor as visitors
        on
            followed.placement = visitors.placement and followed.list_placement = visitors.list_placement
            and followed.model = visitors.model
            and followed.model_version is not distinct from visitors.model_version
            and followed.visitor_id = visitors.visitor_id
    group by all
),

estimates_by_type as (
    select
        sums.*,
        types.event_type,
        coalesce(followed.followed, 0) as followed,
        coalesce(followed.visitors, 0) as followed_visitors,
        coalesce(followed.weight, 0) as followed_weight,
        coalesce(followed.squares, 0) as followed_squares,
        coalesce(followed.products, 0) as products,
        coalesce(followed.weight, 0) / nullif(sums.weight, 0) as ratio,
        coalesce(sums.weight * sums.weight / nullif(sums.squares, 0), 0) as effective_sample_size
    from sums_by_list as sums
    cross join {{ event_types }} as types
    left join followed_sums_by_list as followed
        on
            sums.placement = followed.placement and sums.list_placement = followed.list_placement
            and sums.model = followed.model and sums.model_version is not distinct from followed.model_version
            and types.event_type = followed.event_type
),

estimates_with_intervals as (
    select
        *,
        1.959964 * sqrt(
            greatest(0, followed_squares - 2 * ratio * products + ratio * ratio * squares)
            * shown_visitors / nullif(shown_visitors - 1, 0)
        ) / weight as half_width,
        case
            when shown_places = 0 then 'none of the items of these lists was drawn at its rank'
            when effective_sample_size < {{ min_effective_visitors() }} then 'too few visitors were shown these lists'' items'
            when deviations > 3.29 and mean_weight not between 0.9 and 1.1
                then 'the weights are not 1 on average: the propensities are wrong, or items can''t be drawn'
            when followed_visitors < {{ min_active_visitors() }} then 'too few visitors have followed'
        end as why_not
    from estimates_by_type
)

select
    placement,
    list_placement,
    model,
    model_version,
    event_type,
    places::bigint as impressions,
    shown_places::bigint as shown_impressions,
    effective_sample_size,
    mean_weight,
    followed / cast(places as double) as logged_rate,
    case when why_not is null then ratio end as estimate,
    case when why_not is null then greatest(0, ratio - half_width) end as estimate_low,
    case when why_not is null then least(1, ratio + half_width) end as estimate_high,
    why_not
from estimates_with_intervals
{%- endmacro %}

{# The effective number of visitors (Kish: the square of the sum of the weights over the sum of their squares) from which
   on an estimate is given: below it a few visitors with large weights decide, and the interval is too narrow. #}
{% macro min_effective_visitors() -%}
    100
{%- endmacro %}
