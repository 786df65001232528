-- The newest builds, each with the number of its events, and of those that were rejected or came late
select batch_id, event_count, rejected_count, late_count, very_late_count
from staging.event_batches
order by batch_id desc
limit 30;
