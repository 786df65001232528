{{ config(
    materialized='incremental', incremental_strategy='append',
    pre_hook="{{ set_build_bound('event_batches_last_build', newest_build('batch_id')) }}"
) }}

with new_events as (
    select batch_id, event_at, loaded_at, reject_reason is null as is_usable
    from {{ ref('int_events_checked') }}
    where
        batch_id > {{ build_bound('event_batches_last_build', 0) }}
        -- events that a deletion left on shared devices have its number, but arrived long before
        and batch_id not in (select batch_id from {{ source('ml', 'deletions') }})
),

arrivals as (
    select
        batch_id,
        min(loaded_at) as first_loaded_at,
        max(loaded_at) as last_loaded_at,
        count(*) as event_count,
        count(*) filter (where not is_usable) as rejected_count,
        min(event_at) filter (where is_usable) as oldest_event_at,
        max(event_at) filter (where is_usable) as newest_event_at
    from new_events
    group by batch_id
),

fronts as (
    -- the newest event time that earlier builds had seen; several builds are new where one was interrupted
    select
        batch_id,
        greatest(
            max(newest_event_at) over (order by batch_id rows between unbounded preceding and 1 preceding),
            {% if is_incremental() %}(select max(newest_event_at) from {{ this }}){% else %}null{% endif %}
        ) as seen_until
    from arrivals
),

late as (
    -- an event is late if it is older than its build's front, by more than the limit
    select
        new_events.batch_id,
        count(*) as late_count,
        count(*) filter (
            where new_events.event_at < fronts.seen_until - interval '{{ var("lateness_window_days") }} days'
        ) as very_late_count
    from new_events
    inner join fronts on new_events.batch_id = fronts.batch_id
    where new_events.is_usable and new_events.event_at < fronts.seen_until - {{ minutes(var('late_event_minutes')) }}
    group by new_events.batch_id
),

progress as (
    -- the arrival times that all builds so far have reached
    select max(loaded_at) as newest_loaded_at, {{ settled_until() }} as settled_until
    from {{ ref('int_events_checked') }}
){% if is_incremental() %},

previous as (
    select settled_until, settled_count from {{ this }}
    order by batch_id desc
    limit 1
){% endif %}

select
    arrivals.*,
    coalesce(late.late_count, 0) as late_count,
    coalesce(late.very_late_count, 0) as very_late_count,
    (
        -- events that max_events_per_build left for later builds
        select count(*) from {{ source('raw', 'events') }}
        where loaded_at > (select newest_loaded_at from progress)
    ) as waiting_count,
    progress.settled_until,
    (
        -- no later build reads these arrivals, so this count should stay as it is
        select count(*) from {{ source('raw', 'events') }}
        where loaded_at < (select settled_until from progress)
    ) as settled_count,
    {% if is_incremental() %}
    -- rows that appeared among the settled arrivals after the build before: no build has read them
    greatest(0, (
        select count(*) from {{ source('raw', 'events') }}
        where loaded_at < (select settled_until from previous)
    ) - (select settled_count from previous))
    {% else %}0{% endif %} as slipped_count
from arrivals
cross join progress
left join late on arrivals.batch_id = late.batch_id
