-- sessions divided by different settings can't be compared: after a change of settings run once with --full-refresh
select count(distinct session_rule) as rules
from {{ ref('session_changes') }}
having count(distinct session_rule) > 1
