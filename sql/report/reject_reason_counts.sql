-- The number of rejected events and of rejected items for each reason
select 'events' as feed, reason, count(*) as row_count
from staging.rejected_events
group by reason
union all
select 'items' as feed, reason, count(*) as row_count
from staging.rejected_items
group by reason
order by row_count desc, feed, reason
limit 30;
