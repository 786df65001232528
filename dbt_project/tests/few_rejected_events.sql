-- a feed that breaks must stop the build before its gaps reach a recommendation
select
    count(*) filter (where reject_reason is not null) as rejected,
    count(*) as events
from {{ ref('checked_events') }}
having count(*) filter (where reject_reason is not null) > {{ var('max_rejected_share') }} * count(*)
