{{ config(severity='warn') }}
-- The sample-ratio test: the share of each placement's visitors who are in the control differs from the share in [arms]
-- by no more than chance. The test is chi-square with one degree of freedom; chance exceeds 10.828 once in a thousand
-- draws. A larger difference means that something takes visitors out of one arm alone, which makes uplift wrong.
{%- set arm_settings = arm_settings_of_newest_run() %}
with arm_counts as (
    select
        placement,
        count(*) as visitors,
        count(*) filter (where arm = 'control') as control_visitors,
        count(*) * {{ arm_settings['control_share'] }} as expected_visitors
    from ({{ arms_of_published_lists() }})
    group by placement
),

chi_squares as (
    select
        *,
        (control_visitors - expected_visitors) ^ 2 / expected_visitors
        + (control_visitors - expected_visitors) ^ 2 / (visitors - expected_visitors) as chi_square
    from arm_counts
    -- with fewer than five expected visitors in an arm, chi-square is not valid
    where least(expected_visitors, visitors - expected_visitors) >= 5
)

select * from chi_squares
where chi_square > 10.828
