{# Macros that estimate from impressions what visitors would have done with lists that the shop didn't show. #}

{# Query for the estimates of lists, one row for each placement, list and type of event. In a placement that shows items
   drawn at random, the estimate asks of each impression: which item would the list have shown at this rank? If it is
   the item that was drawn, the impression has the weight 1 / propensity, else the weight 0. The estimate is the
   weighted share of impressions that an event followed (the self-normalized inverse-propensity estimate of
   A. Swaminathan, T. Joachims, The Self-Normalized Estimator for Counterfactual Learning, NeurIPS 2015):
       estimate = sum(weight * followed) / sum(weight)
   Its variance is that of a ratio. Visitors are the independent units, because a visitor's impressions are not:
       sum over visitors of (sum of weight * followed - estimate * sum of weight)^2 / sum(weight)^2
   `drawn_places` is the model of that name, or a relation like it. `followed_impressions` has the distinct pairs of an
   impression and a type of event that followed it. A row without a model_version is about all versions of its model. #}
{% macro offline_estimates_of_lists(drawn_places, followed_impressions, event_types) -%}
{%- set list_columns = 'placement, list_placement, model, model_version' -%}
with weighted_impressions as (
    select placement, list_placement, model, model_version, impression_id, visitor_id, weight from {{ drawn_places }}
    union all
    select placement, list_placement, model, null as model_version, impression_id, visitor_id, weight
    from {{ drawn_places }}
),

sums_by_visitor_and_list_kind as (
    select
        {{ list_columns }}, visitor_id,
        count(*) as impression_count,
        count(*) filter (where weight > 0) as shown_impression_count,
        sum(weight) as weight_sum
    from weighted_impressions
    group by {{ list_columns }}, visitor_id
),

sums_by_list_kind as (
    select
        {{ list_columns }},
        sum(impression_count) as impression_count,
        sum(shown_impression_count) as shown_impression_count,
        count(*) filter (where weight_sum > 0) as shown_visitor_count,
        sum(weight_sum) as weight_sum,
        sum(weight_sum * weight_sum) as square_sum,
        -- apart from chance, it is 1 if the propensities are right and each item of a list could be drawn
        sum(weight_sum) / sum(impression_count) as mean_weight,
        abs(sum(weight_sum) - sum(impression_count))
        / nullif(sqrt(sum((weight_sum - impression_count) * (weight_sum - impression_count))), 0)
            as standard_errors_from_one
    from sums_by_visitor_and_list_kind
    group by {{ list_columns }}
),

followed_sums_by_visitor_and_list_kind as (
    select
        {{ list_columns }}, weighted_impressions.visitor_id, follows.event_type,
        count(*) as followed_count,
        sum(weighted_impressions.weight) as followed_weight_sum
    from weighted_impressions
    inner join {{ followed_impressions }} as follows on weighted_impressions.impression_id = follows.impression_id
    group by {{ list_columns }}, weighted_impressions.visitor_id, follows.event_type
),

followed_sums_by_list_kind as (
    select
        followed.placement, followed.list_placement, followed.model, followed.model_version, followed.event_type,
        sum(followed.followed_count) as followed_count,
        count(*) filter (where followed.followed_weight_sum > 0) as followed_visitor_count,
        sum(followed.followed_weight_sum) as followed_weight_sum,
        sum(followed.followed_weight_sum * followed.followed_weight_sum) as followed_square_sum,
        sum(followed.followed_weight_sum * visitors.weight_sum) as product_sum
    from followed_sums_by_visitor_and_list_kind as followed
    inner join sums_by_visitor_and_list_kind as visitors
        on
            followed.placement = visitors.placement and followed.list_placement = visitors.list_placement
            and followed.model = visitors.model
            and followed.model_version is not distinct from visitors.model_version
            and followed.visitor_id = visitors.visitor_id
    group by all
),

estimates_by_list_kind_and_event_type as (
    select
        sums.*,
        types.event_type,
        coalesce(followed.followed_count, 0) as followed_count,
        coalesce(followed.followed_visitor_count, 0) as followed_visitor_count,
        coalesce(followed.followed_square_sum, 0) as followed_square_sum,
        coalesce(followed.product_sum, 0) as product_sum,
        coalesce(followed.followed_weight_sum, 0) / nullif(sums.weight_sum, 0) as estimated_rate,
        coalesce(sums.weight_sum * sums.weight_sum / nullif(sums.square_sum, 0), 0) as effective_sample_size
    from sums_by_list_kind as sums
    cross join {{ event_types }} as types
    left join followed_sums_by_list_kind as followed
        on
            sums.placement = followed.placement and sums.list_placement = followed.list_placement
            and sums.model = followed.model and sums.model_version is not distinct from followed.model_version
            and types.event_type = followed.event_type
),

estimates_with_intervals as (
    select
        *,
        1.959964 * sqrt(
            greatest(
                0, followed_square_sum - 2 * estimated_rate * product_sum + estimated_rate * estimated_rate * square_sum
            )
            * shown_visitor_count / nullif(shown_visitor_count - 1, 0)
        ) / weight_sum as half_width,
        case
            when shown_impression_count = 0 then 'none of the items of these lists was drawn at its rank'
            when effective_sample_size < {{ min_effective_visitors() }} then 'too few visitors were shown these lists'' items'
            when standard_errors_from_one > 3.29 and mean_weight not between 0.9 and 1.1
                then 'the weights are not 1 on average: the propensities are wrong, or items can''t be drawn'
            when followed_visitor_count < {{ min_visitors_with_outcome() }} then 'too few visitors have followed'
        end as why_not
    from estimates_by_list_kind_and_event_type
)

select
    placement,
    list_placement,
    model,
    model_version,
    event_type,
    impression_count::bigint as impressions,
    shown_impression_count::bigint as shown_impressions,
    effective_sample_size,
    mean_weight,
    followed_count / cast(impression_count as double) as logged_rate,
    case when why_not is null then estimated_rate end as estimate,
    case when why_not is null then greatest(0, estimated_rate - half_width) end as estimate_low,
    case when why_not is null then least(1, estimated_rate + half_width) end as estimate_high,
    why_not
from estimates_with_intervals
{%- endmacro %}

{# The least effective number of visitors for which an estimate is given. With fewer, a few visitors of large weight
   decide the estimate, and its interval is too narrow. The effective number (Kish) is the square of the sum of the
   visitors' weights, divided by the sum of their squares. #}
{% macro min_effective_visitors() -%}
    100
{%- endmacro %}
