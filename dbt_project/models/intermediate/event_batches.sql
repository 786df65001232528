{{ config(
    materialized='incremental', incremental_strategy='append',
    pre_hook="{{ set_build_bound('event_batches_last_build', newest_build_number('batch_id')) }}"
) }}

with new_events as (
    select batch_id, event_at, loaded_at, built_at, reject_reason is null as is_usable
    from {{ ref('int_events_checked') }}
    where
        batch_id > {{ build_bound('event_batches_last_build', 0) }}
        -- The events of these batches are not new. `nextmart forget` deletes a person; it gives a new batch_id to the
        -- old events of other people in the same sessions, so that the next build makes these sessions again
        and batch_id not in (select batch_id from {{ source('ml', 'deletions') }})
),

new_batches as (
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

newest_earlier_event_times as (
    -- for each new build, the time of the newest event of all earlier builds; there can be several new builds, because
    -- earlier runs of dbt may have been interrupted before event_batches
    select
        batch_id,
        greatest(
            max(newest_event_at) over (order by batch_id rows between unbounded preceding and 1 preceding),
            {% if is_incremental() %}(select max(newest_event_at) from {{ this }}){% else %}null{% endif %}
        ) as newest_earlier_event_at
    from new_batches
),

first_judgements as (
    {{ first_judgements() }}
),

late_event_counts as (
    -- an event is late if it is older, by more than late_event_minutes, than the newest event of earlier builds; an event
    -- that waited for its item is not late, because its item was
    select
        new_events.batch_id,
        count(*) as late_count,
        count(*) filter (
            where new_events.event_at
            < newest_earlier_event_times.newest_earlier_event_at - interval '{{ var("lateness_window_days") }} days'
        ) as very_late_count
    from new_events
    semi join first_judgements
        on new_events.batch_id = first_judgements.batch_id and new_events.built_at = first_judgements.built_at
    inner join newest_earlier_event_times on new_events.batch_id = newest_earlier_event_times.batch_id
    where
        new_events.is_usable
        and new_events.event_at
        < newest_earlier_event_times.newest_earlier_event_at - {{ interval_of_minutes(var('late_event_minutes')) }}
    group by new_events.batch_id
),

arrival_times_read_so_far as (
    -- newest_loaded_at: the latest arrival time that a build has read so far; settled_until: the arrival time from
    -- which on the next build reads rows
    select max(loaded_at) as newest_loaded_at, {{ settled_until() }} as settled_until
    from {{ ref('int_events_checked') }}
){% if is_incremental() %},

previous_batch as (
    select settled_until, settled_count from {{ this }}
    order by batch_id desc
    limit 1
){% endif %}

select
    new_batches.*,
    coalesce(late_event_counts.late_count, 0) as late_count,
    coalesce(late_event_counts.very_late_count, 0) as very_late_count,
    (
        -- waiting_count counts the raw events that max_events_per_build left for later builds
        select count(*) from {{ source('raw', 'events') }}
        where loaded_at > (select newest_loaded_at from arrival_times_read_so_far)
    ) as waiting_count,
    arrival_times_read_so_far.settled_until,
    (
        -- settled_count counts the rows that arrived before settled_until; if the next build finds more of them, it
        -- reads all rows again
        select count(*) from {{ source('raw', 'events') }}
        where loaded_at < (select settled_until from arrival_times_read_so_far)
    ) as settled_count,
    {% if is_incremental() %}
    -- slipped_count counts the rows that appeared since the previous build, although they have an arrival time before
    -- that build's settled_until; because of them, this build has read all rows again
    greatest(0, (
        select count(*) from {{ source('raw', 'events') }}
        where loaded_at < (select settled_until from previous_batch)
    ) - (select settled_count from previous_batch))
    {% else %}0{% endif %} as slipped_count
from new_batches
cross join arrival_times_read_so_far
left join late_event_counts on new_batches.batch_id = late_event_counts.batch_id
