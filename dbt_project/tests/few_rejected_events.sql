{{ config(fail_calc='count(message)') }}
-- A feed that breaks must stop the build before its gaps reach a recommendation. One bad night drowns in a long history,
-- so the newest builds are judged too: as many as hold 100 events together, since a handful proves nothing. A bad build
-- stays among them until 100 newer events came: to run again with a few new rows doesn't get past it. It blocks no
-- longer, since its rows never change: what is wrong with them is put right by loading them again, as new arrivals.
-- It reads checked_events alone: a test of event_batches too would hold back only what depends on both.
with reasons as (
    select batch_id, reject_reason, count(*) as events
    from {{ ref('checked_events') }}
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
    select 'events' as which, * from reasons

    union all by name
    select 'events of the newest builds' as which, reasons.*
    from reasons
    semi join newest on reasons.batch_id = newest.batch_id
),

totals as (
    select which, reject_reason, sum(events) as events
    from judged
    group by which, reject_reason
),

shares as (
    select
        which,
        sum(events)::bigint as events,
        coalesce(sum(events) filter (where reject_reason is not null), 0)::bigint as rejected,
        arg_max(reject_reason, (events, reject_reason)) filter (where reject_reason is not null) as frequent_reason
    from totals
    group by which
),

worst as (
    select * from shares
    where rejected > {{ var('max_rejected_share') }} * events
    order by which
    limit 1
)

select {{ stop_with("format('{:,} of {:,} {} are rejected, most of them for {}; see staging.rejected_events',"
    ~ " rejected, events, which, frequent_reason)") }} as message
from worst
