with daily_uplift as (
    {{ uplift_by_day(ref('uplift_visitors'), 'outcome', '0.05') }}
)

select
    placement,
    measure,
    day,
    'model' as arm,
    'control' as control_arm,
    visitors,
    control_visitors,
    mean,
    control_mean,
    uplift,
    uplift_low,
    uplift_high,
    relative_uplift
from daily_uplift
order by placement, measure, day
