-- The outcomes of the lists of each model and arm by day, over all ranks together, with Wilson's interval of the rate
with daily_totals as (
    select
        day, placement, case when arm = 'control' then 'control: ' else '' end || model as lists, event_type, evidence,
        sum(places)::double as places, sum(followed)::double as followed, sum(revenue) as revenue
    from recommendations.outcomes
    where day > (select max(newest.day) - interval 60 day from recommendations.outcomes as newest)
    group by day, placement, arm, model, event_type, evidence
),

daily_rates as (
    select *, followed / places as rate, 1.959964 * 1.959964 / places as spread
    from daily_totals
    where places > 0
)

select
    day, placement, lists, event_type, evidence, places::bigint as places, followed::bigint as followed, rate,
    (rate + spread / 2 - sqrt(greatest(0, spread * (rate * (1 - rate) + spread / 4)))) / (1 + spread) as rate_low,
    (rate + spread / 2 + sqrt(greatest(0, spread * (rate * (1 - rate) + spread / 4)))) / (1 + spread) as rate_high,
    revenue
from daily_rates
order by day, placement, event_type, evidence, lists;
