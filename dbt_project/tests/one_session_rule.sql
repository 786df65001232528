-- sessions made under different session settings can't be compared: after such a change, run once with --full-refresh
select count(distinct session_rule) as rules
from {{ ref('session_changes') }}
having count(distinct session_rule) > 1
