{# Macros for uplift: the difference between the means of two arms, with an interval that may be looked at every day. #}

{# Query of the uplift by placement, measure and day. The uplift is the mean of the arm model less the mean of the arm
   control. A day's row counts all visitors whose window has ended by that day.
   The relation `visitors` has a row for each placement, measure and visitor. Its column arm is the visitor's arm, its
   column day is the last day of the visitor's window, and the column that `outcome_column` names says how much the
   visitor did in the window. `alpha` is SQL of a probability: over all days together, the interval misses the true
   uplift with at most that probability. #}
{% macro uplift_by_day(visitors, outcome_column, alpha) -%}
with daily_sums as (
    select
        placement,
        measure,
        day,
        count(*) as visitors_of_both_arms,
        count(*) filter (where arm = 'control') as control_visitors,
        count(*) filter (where arm = 'model' and {{ outcome_column }} <> 0) as model_visitors_with_outcome,
        count(*) filter (where arm = 'control' and {{ outcome_column }} <> 0) as control_visitors_with_outcome,
        sum({{ outcome_column }}) as sum_of_both_arms,
        sum({{ outcome_column }} * {{ outcome_column }}) as square_sum_of_both_arms,
        coalesce(sum({{ outcome_column }}) filter (where arm = 'control'), 0) as control_sum,
        coalesce(sum({{ outcome_column }} * {{ outcome_column }}) filter (where arm = 'control'), 0)
            as control_square_sum
    from {{ visitors }}
    group by placement, measure, day
),

sums_to_date as (
    select
        placement, measure, day,
        {% for name in ['visitors_of_both_arms', 'control_visitors', 'model_visitors_with_outcome',
            'control_visitors_with_outcome', 'sum_of_both_arms', 'square_sum_of_both_arms', 'control_sum',
            'control_square_sum'] -%}
        sum({{ name }}) over days_so_far as {{ name }}{{ ',' if not loop.last }}
        {% endfor %}
    from daily_sums
    window days_so_far as (partition by placement, measure order by day)
),

means_to_date as (
    select
        *,
        visitors_of_both_arms - control_visitors as visitors,
        (sum_of_both_arms - control_sum) / (visitors_of_both_arms - control_visitors) as mean,
        control_sum / control_visitors as control_mean,
        {{ sample_variance('visitors_of_both_arms', 'sum_of_both_arms', 'square_sum_of_both_arms') }}
            as variance_of_both_arms,
        {{ sample_variance('(visitors_of_both_arms - control_visitors)', '(sum_of_both_arms - control_sum)',
            '(square_sum_of_both_arms - control_square_sum)') }} as variance,
        {{ sample_variance('control_visitors', 'control_sum', 'control_square_sum') }} as control_variance
    from sums_to_date
    where control_visitors >= 2 and visitors_of_both_arms - control_visitors >= 2
),

means_with_half_widths as (
    -- An arm's variance is taken to be at least that of all visitors, which can only make the interval wider. The few
    -- visitors of a small arm may by chance lack rare large values, and a variance without these is too small
    select
        *,
        case
            when least(model_visitors_with_outcome, control_visitors_with_outcome) >= {{ min_visitors_with_outcome() }}
                then {{ confidence_sequence_half_width(
                    'visitors_of_both_arms',
                    'greatest(variance, variance_of_both_arms) / visitors'
                    ~ ' + greatest(control_variance, variance_of_both_arms) / control_visitors',
                    alpha
                ) }}
        end as half_width
    from means_to_date
)

select
    placement,
    measure,
    day,
    visitors::bigint as visitors,
    control_visitors::bigint as control_visitors,
    mean,
    control_mean,
    mean - control_mean as uplift,
    mean - control_mean - half_width as uplift_low,
    mean - control_mean + half_width as uplift_high,
    (mean - control_mean) / nullif(control_mean, 0) as relative_uplift
from means_with_half_widths
{%- endmacro %}

{# Unbiased variance of `n` values from their sum and the sum of their squares; never below 0. #}
{% macro sample_variance(n, sum, sum_of_squares) -%}
    greatest(0.0, ({{ sum_of_squares }} - {{ sum }} * {{ sum }} / {{ n }}) / ({{ n }} - 1))
{%- endmacro %}

{# Half the width of an asymptotic confidence sequence: intervals that hold on all days together, so that one may look
   every day. Source: I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy, A. Ramdas, Time-uniform central limit theory
   and asymptotic confidence sequences, Annals of Statistics 52 (2024), Theorem 2.2. The half width is
       sigma * sqrt(2 * (n * rho^2 + 1) / (n^2 * rho^2) * ln(sqrt(n * rho^2 + 1) / alpha))
   after n visitors, where sigma^2 / n is `variance_of_estimate`. rho may be any number that is chosen before there are
   data. Here rho makes the interval tightest after 10,000 visitors:
       rho^2 = (-2 * ln(alpha) + ln(-2 * ln(alpha)) + 1) / 10,000 #}
{% macro confidence_sequence_half_width(n, variance_of_estimate, alpha) -%}
    {%- set rho_squared = '((-2 * ln(' ~ alpha ~ ') + ln(-2 * ln(' ~ alpha ~ ')) + 1) / 10000)' -%}
    {%- set n_rho_squared = '(' ~ n ~ ' * ' ~ rho_squared ~ ')' -%}
    sqrt(
        ({{ variance_of_estimate }}) * 2 * ({{ n_rho_squared }} + 1) / {{ n_rho_squared }}
        * ln(sqrt({{ n_rho_squared }} + 1) / {{ alpha }})
    )
{%- endmacro %}

{# The least number of visitors with an outcome that each arm needs before uplift has an interval. With fewer, the
   interval may miss the true uplift too often, because it is computed by a theory for large numbers. #}
{% macro min_visitors_with_outcome() -%}
    25
{%- endmacro %}
