-- All builds have divided events into sessions by the same settings. After a change of these settings, run once with
-- --full-refresh, because sessions that were made in different ways can't be compared.
select count(distinct session_rule) as rules
from {{ ref('session_changes') }}
having count(distinct session_rule) > 1
