-- The outcomes by day of the lists of each model and arm, all ranks together: how many places were followed by an
-- event, with Wilson's interval of the rate. A visitor counts as one place for the interval, because the places of one
-- visitor are not independent. The number of visitors is that of the rank with the most visitors
with daily_counts as (
    select
        day, placement, case when arm = 'control' then 'control: ' else '' end || model as lists, event_type, evidence,
        sum(places)::double as places, max(visitors)::double as visitors, sum(followed)::double as followed,
        sum(revenue) as revenue
    from recommendations.outcomes
    where day > (select max(newest.day) - interval 60 day from recommendations.outcomes as newest)
    group by day, placement, arm, model, event_type, evidence
),

daily_rates as (
    select
        *,
        followed / places as rate,
        1.959964 * 1.959964 / visitors as z_squared_over_visitors,
        rate + z_squared_over_visitors / 2 as middle,
        z_squared_over_visitors * (rate * (1 - rate) + z_squared_over_visitors / 4) as squared_half_width
    from daily_counts
    where places > 0
)

select
    day, placement, lists, event_type, evidence, places::bigint as places, followed::bigint as followed, rate,
    (middle - sqrt(greatest(0, squared_half_width))) / (1 + z_squared_over_visitors) as rate_low,
    (middle + sqrt(greatest(0, squared_half_width))) / (1 + z_squared_over_visitors) as rate_high,
    revenue
from daily_rates
order by day, placement, event_type, evidence, lists;
