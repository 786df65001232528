{{ config(severity='warn') }}
-- An A/A check: before the visitors' first lists, both arms must have done the same. The same comparison as in uplift, of
-- what each visitor did in as many days before; it warns of an honest experiment, on any day at all, with a probability
-- of at most 5 % for all placements and measures together. A warning means that the arms differ in more than the lists:
-- do not trust uplift
with measures as (
    select distinct placement, measure from {{ ref('uplift_visitors') }}
),

comparisons as (
    {{ uplift_by_day(ref('uplift_visitors'), 'outcome_before', '(select 0.05 / greatest(count(*), 1) from measures)') }}
)

select placement, measure, day, visitors, control_visitors, mean, control_mean, uplift_low, uplift_high
from comparisons
where uplift_low > 0 or uplift_high < 0
