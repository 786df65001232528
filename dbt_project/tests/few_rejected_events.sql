{{ config(fail_calc='count(message)') }}
-- A broken feed must stop the build before its gaps reach a recommendation. The rejected share is judged twice.
-- 1. Of all events.
-- 2. Of the newest builds, because one bad night changes little in a long history. So many builds are taken that they
--    hold 100 events together: fewer events prove nothing.
-- A bad build is judged until 100 newer events have come, so a second run with a few new rows doesn't pass. Afterwards
-- it stops nothing any more. Its rows never change: to mend them, load them again, as new arrivals. The test reads
-- int_events_checked alone. If it read event_batches too, its failure would stop only the models that depend on both.
with reasons as (
    select batch_id, reject_reason, count(*) as events
    from {{ ref('int_events_checked') }}
    group by batch_id, reject_reason
),

newest as (
    select batch_id from reasons
    group by batch_id
    qualify coalesce(
        sum(sum(events)) over (order by batch_id desc rows between unbounded preceding and 1 preceding), 0
    ) < 100
),

judged as (
    select 'events' as judged_events, * from reasons

    union all by name
    select 'events of the newest builds' as judged_events, reasons.*
    from reasons
    semi join newest on reasons.batch_id = newest.batch_id
),

totals as (
    select judged_events, reject_reason, sum(events) as events
    from judged
    group by judged_events, reject_reason
),

shares as (
    select
        judged_events,
        sum(events)::bigint as events,
        coalesce(sum(events) filter (where reject_reason is not null), 0)::bigint as rejected,
        arg_max(reject_reason, (events, reject_reason)) filter (where reject_reason is not null) as frequent_reason
    from totals
    group by judged_events
),

worst as (
    select * from shares
    where rejected > {{ var('max_rejected_share') }} * events
    order by judged_events
    limit 1
)

select {{ stop_with("format('{:,} of {:,} {} are rejected, most of them for {}; see staging.rejected_events',"
    ~ " rejected, events, judged_events, frequent_reason)") }} as message
from worst
