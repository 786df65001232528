{{ config(
    materialized='incremental', incremental_strategy='append',
    pre_hook="{{ set_build_bound('session_changes_last_build', newest_build('batch_id')) }}"
) }}

with assigned as (
    -- is_new tells new events from known ones that a build assigned again beside them
    select
        assigned_batch_id as batch_id, session_id, position, event_at, source_session_id,
        batch_id > {{ build_bound('session_changes_last_build', 0) }}
        -- events that a deletion left on shared devices have its number, but are not new
        and batch_id not in (select batch_id from {{ source('ml', 'deletions') }}) as is_new
    from {{ ref('session_items') }}
    where assigned_batch_id > {{ build_bound('session_changes_last_build', 0) }}
),

changed as (
    -- sessions with a new event; a session of known events alone was assigned again but has not changed
    select
        batch_id,
        session_id,
        source_session_id,
        bool_and(is_new) as is_opened,
        min(event_at) filter (where is_new) < max(event_at) filter (where not is_new) as is_joined_late,
        bool_or(is_new and position = 1) and not bool_and(is_new) as is_renamed
    from assigned
    group by batch_id, session_id, source_session_id
    having bool_or(is_new)
),

known_gaps as (
    -- whether a known event lies more than one gap after the known event before it
    select
        assigned.session_id,
        assigned.event_at - lag(assigned.event_at) over by_session
        > {{ minutes(var('session_gap_minutes')) }} as is_apart
    from assigned
    semi join changed
        on
            assigned.session_id = changed.session_id and changed.is_joined_late
            and changed.source_session_id is null
    where not assigned.is_new
    window by_session as (partition by assigned.session_id order by assigned.event_at, assigned.position)
),

merged as (
    -- without the new events these sessions would be several, as they were before
    select distinct session_id
    from known_gaps
    where is_apart
)

select
    changed.batch_id,
    count(*) as session_count,
    count(*) filter (where changed.is_opened) as opened_count,
    count(*) filter (where changed.is_joined_late) as joined_late_count,
    count(*) filter (where changed.is_renamed) as renamed_count,
    count(merged.session_id) as merged_count,
    '{{ session_rule() }}' as session_rule
from changed
left join merged on changed.session_id = merged.session_id
group by changed.batch_id
