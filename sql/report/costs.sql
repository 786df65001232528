-- The cost of paid services by day and job
select started_at::date as day, job, sum(cost) as cost
from ml.job_runs
where cost > 0
group by started_at::date, job
order by day desc, job
limit 60;
