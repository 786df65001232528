{# Macros for uplift: the difference between the means of two arms, with an interval that may be looked at every day. #}

{# Query of the uplift, mean of the arm model less mean of the control, by placement, measure and day. The relation
   `visitors` has a row for each placement, measure and visitor, with the columns arm, day (the last day of the
   visitor's window) and the column named in `outcome` (what the visitor did in the window). A day's row counts all
   visitors up to that day. `alpha` is SQL of a probability: the interval misses the true uplift on some day with at
   most that probability. #}
{% macro uplift_by_day(visitors, outcome, alpha) -%}
with daily_sums as (
    select
        placement,
        measure,
        day,
        count(*) as visitors_of_both,
        count(*) filter (where arm = 'control') as control_visitors,
        count(*) filter (where arm = 'model' and {{ outcome }} <> 0) as active_visitors,
        count(*) filter (where arm = 'control' and {{ outcome }} <> 0) as control_active_visitors,
        sum({{ outcome }}) as sum_of_both,
        sum({{ outcome }} * {{ outcome }}) as squares_of_both,
        coalesce(sum({{ outcome }}) filter (where arm = 'control'), 0) as control_sum,
        coalesce(sum({{ outcome }} * {{ outcome }}) filter (where arm = 'control'), 0) as control_squares
    from {{ visitors }}
    group by placement, measure, day
),

sums_to_date as (
    select
        placement, measure, day,
        {% for name in ['visitors_of_both', 'control_visitors', 'active_visitors', 'control_active_visitors',
            'sum_of_both', 'squares_of_both', 'control_sum', 'control_squares'] -%}
        sum({{ name }}) over days_so_far as {{ name }}{{ ',' if not loop.last }}
        {% endfor %}
    from daily_sums
    window days_so_far as (partition by placement, measure order by day)
),

means_to_date as (
    select
        *,
        visitors_of_both - control_visitors as visitors,
        (sum_of_both - control_sum) / (visitors_of_both - control_visitors) as mean,
        control_sum / control_visitors as control_mean,
        {{ sample_variance('visitors_of_both', 'sum_of_both', 'squares_of_both') }} as variance_of_both,
        {{ sample_variance('(visitors_of_both - control_visitors)', '(sum_of_both - control_sum)',
            '(squares_of_both - control_squares)') }} as variance,
        {{ sample_variance('control_visitors', 'control_sum', 'control_squares') }} as control_variance
    from sums_to_date
    where control_visitors >= 2 and visitors_of_both - control_visitors >= 2
),

means_with_half_widths as (
    -- The few visitors of a small arm may by chance lack rare large values, so that the arm's variance is too small. So
    -- an arm counts with at least the variance of all visitors, which can only make the interval wider
    select
        *,
        case when least(active_visitors, control_active_visitors) >= {{ min_active_visitors() }} then
            {{ confidence_sequence_half_width(
                'visitors_of_both',
                'greatest(variance, variance_of_both) / visitors'
                ~ ' + greatest(control_variance, variance_of_both) / control_visitors',
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
    {%- set rho2 = '((-2 * ln(' ~ alpha ~ ') + ln(-2 * ln(' ~ alpha ~ ')) + 1) / 10000)' -%}
    {%- set n_rho2 = '(' ~ n ~ ' * ' ~ rho2 ~ ')' -%}
    sqrt(
        ({{ variance_of_estimate }}) * 2 * ({{ n_rho2 }} + 1) / {{ n_rho2 }}
        * ln(sqrt({{ n_rho2 }} + 1) / {{ alpha }})
    )
{%- endmacro %}

{# Number of visitors with at least one outcome that each arm needs before uplift has an interval, because the theory of
   the interval holds for large numbers. #}
{% macro min_active_visitors() -%}
    25
{%- endmacro %}
