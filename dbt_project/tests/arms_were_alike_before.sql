{{ config(severity='warn') }}
-- An A/A check: in the days before their first lists, the visitors of both arms must have done the same. The check
-- compares the arms as uplift does, but with what each visitor did in as many days before the first list. The
-- probability that it warns of a sound experiment is at most 5 %, for all days, placements and measures together. After
-- a warning, do not trust uplift: the arms differ in more than their lists.
with measures_of_placements as (
    select distinct placement, measure from {{ ref('uplift_visitors') }}
),

daily_differences as (
    {{ uplift_by_day(
        ref('uplift_visitors'), 'outcome_before', '(select 0.05 / greatest(count(*), 1) from measures_of_placements)'
    ) }}
)

select placement, measure, day, visitors, control_visitors, mean, control_mean, uplift_low, uplift_high
from daily_differences
where uplift_low > 0 or uplift_high < 0
