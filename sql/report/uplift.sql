-- The uplift of the model against the control by day; a day's row counts all data up to the end of the day
select
    day, placement, measure, arm, control_arm, visitors, control_visitors, mean, control_mean, uplift, uplift_low,
    uplift_high, relative_uplift
from recommendations.uplift
where day > (select max(newest.day) - interval 60 day from recommendations.uplift as newest)
order by day, placement, measure, arm;
