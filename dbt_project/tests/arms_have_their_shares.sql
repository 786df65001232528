{{ config(severity='warn') }}
-- The sample-ratio test: of each placement's visitors, the share of the control is the one that [arms] says, up to chance.
-- Chi-square with one degree of freedom; 10.828 is exceeded by chance once in a thousand draws. Something that takes
-- visitors out of one arm alone makes uplift wrong.
{%- set arms = arms_of_newest_run() %}
with arm_counts as (
    select
        placement,
        count(*) as visitors,
        count(*) filter (where arm = 'control') as control_visitors,
        count(*) * {{ arms['control'] }} as expected_visitors
    from ({{ published_arms() }})
    group by placement
),

chi_squares as (
    select
        *,
        (control_visitors - expected_visitors) ^ 2 / expected_visitors
        + (control_visitors - expected_visitors) ^ 2 / (visitors - expected_visitors) as chi_square
    from arm_counts
    -- of fewer visitors, the test would say nothing
    where least(expected_visitors, visitors - expected_visitors) >= 5
)

select * from chi_squares
where chi_square > 10.828
