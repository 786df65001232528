{{ config(fail_calc='count(message)') }}
-- A broken feed of events must stop the build before wrong recommendations are made. The share of rejected events is
-- compared with `max_rejected_share` twice:
-- 1. among all events;
-- 2. among the events of the newest builds, because one bad night changes little in a long history. As many builds are
--    taken as are needed to have 100 events, because fewer events prove nothing.
-- So a bad build is judged until 100 newer events have come: a second run with a few new rows doesn't pass. After that
-- the bad build stops nothing any more. Its rows never change; to mend them, load them again, as new arrivals.
-- The test reads only int_events_checked. If it read event_batches too, its failure would stop only the models that
-- depend on both.
with event_counts_by_build_and_reason as (
    select batch_id, reject_reason, count(*) as event_count
    from {{ ref('int_events_checked') }}
    group by batch_id, reject_reason
),

newest_builds as (
    select batch_id from event_counts_by_build_and_reason
    group by batch_id
    qualify coalesce(
        sum(sum(event_count)) over (order by batch_id desc rows between unbounded preceding and 1 preceding), 0
    ) < 100
),

event_counts_with_build_ranges as (
    select 'events' as build_range, * from event_counts_by_build_and_reason

    union all by name
    select 'events of the newest builds' as build_range, event_counts_by_build_and_reason.*
    from event_counts_by_build_and_reason
    semi join newest_builds on event_counts_by_build_and_reason.batch_id = newest_builds.batch_id
),

event_counts_by_build_range_and_reason as (
    select build_range, reject_reason, sum(event_count) as event_count
    from event_counts_with_build_ranges
    group by build_range, reject_reason
),

rejected_counts_by_build_range as (
    select
        build_range,
        sum(event_count)::bigint as event_count,
        coalesce(sum(event_count) filter (where reject_reason is not null), 0)::bigint as rejected_count,
        arg_max(reject_reason, (event_count, reject_reason)) filter (where reject_reason is not null) as most_frequent_reason
    from event_counts_by_build_range_and_reason
    group by build_range
),

build_range_above_limit as (
    select * from rejected_counts_by_build_range
    where rejected_count > {{ var('max_rejected_share') }} * event_count
    order by build_range
    limit 1
)

select {{ fail_with_message("format('{:,} of {:,} {} are rejected, most of them for {}; see staging.rejected_events',"
    ~ " rejected_count, event_count, build_range, most_frequent_reason)") }} as message
from build_range_above_limit
