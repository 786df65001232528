{{ config(fail_calc='count(message)') }}
-- A broken feed of events must stop the build before wrong recommendations are made. The share of rejected events is
-- compared with `max_rejected_share` twice:
-- 1. among all events;
-- 2. among the events of the newest builds, because one bad night changes little in a long history. So many builds are
--    taken that they hold at least 100 events together: fewer events prove nothing.
-- A bad build is judged until 100 newer events have come, so a second run with a few new rows doesn't pass. Afterwards
-- the bad build stops nothing any more. Its rows never change: to mend them, load them again, as new arrivals. The test
-- reads int_events_checked alone. If it read event_batches too, its failure would stop only the models that depend on
-- both.
with reason_counts as (
    select batch_id, reject_reason, count(*) as events
    from {{ ref('int_events_checked') }}
    group by batch_id, reject_reason
),

newest_builds as (
    select batch_id from reason_counts
    group by batch_id
    qualify coalesce(
        sum(sum(events)) over (order by batch_id desc rows between unbounded preceding and 1 preceding), 0
    ) < 100
),

counts_by_scope as (
    select 'events' as judged_events, * from reason_counts

    union all by name
    select 'events of the newest builds' as judged_events, reason_counts.*
    from reason_counts
    semi join newest_builds on reason_counts.batch_id = newest_builds.batch_id
),

reason_totals as (
    select judged_events, reject_reason, sum(events) as events
    from counts_by_scope
    group by judged_events, reject_reason
),

rejected_shares as (
    select
        judged_events,
        sum(events)::bigint as events,
        coalesce(sum(events) filter (where reject_reason is not null), 0)::bigint as rejected,
        arg_max(reject_reason, (events, reject_reason)) filter (where reject_reason is not null) as frequent_reason
    from reason_totals
    group by judged_events
),

exceeded_share as (
    select * from rejected_shares
    where rejected > {{ var('max_rejected_share') }} * events
    order by judged_events
    limit 1
)

select {{ fail_with_message("format('{:,} of {:,} {} are rejected, most of them for {}; see staging.rejected_events',"
    ~ " rejected, events, judged_events, frequent_reason)") }} as message
from exceeded_share
