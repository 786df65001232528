{{ config(severity='warn') }}
-- The sample-ratio test: in each placement, the share of visitors who are in the control differs from the share in
-- [arms] only by chance. The test is chi-square with one degree of freedom, which chance alone brings above 10.828 once
-- in a thousand times. A larger difference means that something takes visitors out of one arm only, which makes uplift
-- wrong.
{%- set arm_settings = arm_settings_of_newest_run() %}
with visitor_counts_by_placement as (
    select
        placement,
        count(*) as visitors,
        count(*) filter (where arm = 'control') as control_visitors,
        count(*) * {{ arm_settings['control_share'] }} as expected_control_visitors
    from ({{ arms_of_published_lists() }})
    group by placement
),

chi_squares as (
    select
        *,
        (control_visitors - expected_control_visitors) ^ 2 / expected_control_visitors
        + (control_visitors - expected_control_visitors) ^ 2 / (visitors - expected_control_visitors) as chi_square
    from visitor_counts_by_placement
    -- with fewer than five expected visitors in an arm, chi-square is not valid
    where least(expected_control_visitors, visitors - expected_control_visitors) >= 5
)

select * from chi_squares
where chi_square > 10.828
