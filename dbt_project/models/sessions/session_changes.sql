{{ config(
    materialized='incremental', incremental_strategy='append',
    pre_hook="{{ set_build_bound('session_changes_last_build', newest_build_number('batch_id')) }}"
) }}

with first_judgements as (
    {{ first_judgements() }}
),

events_that_waited as (
    -- events that became usable because the catalogue has their item now
    select {{ event_key('checked_events') }} as event_key
    from {{ ref('int_events_checked') }} as checked_events
    anti join first_judgements
        on
            checked_events.batch_id = first_judgements.batch_id
            and checked_events.built_at = first_judgements.built_at
    where
        checked_events.batch_id > {{ build_bound('session_changes_last_build', 0) }}
        and checked_events.reject_reason is null
),

assigned_events as (
    -- the events that each new build assigned to sessions: new events, and known events, which earlier builds had
    -- assigned before
    select
        assigned_batch_id as batch_id, session_id, position, event_at, source_session_id,
        source_session_id is null or cut_reason in ({{ tracker_session_cut_reasons() }}) as is_made_by_gap_rule,
        {{ event_key() }} in (select event_key from events_that_waited) as has_waited,
        batch_id > {{ build_bound('session_changes_last_build', 0) }}
        -- events with the batch_id of a deletion are not new: `nextmart forget` gives it to old events of other people
        and batch_id not in (select batch_id from {{ source('ml', 'deletions') }}) as is_new
    from {{ ref('session_items') }}
    where assigned_batch_id > {{ build_bound('session_changes_last_build', 0) }}
),

changed_sessions as (
    -- sessions with a new event; sessions whose events are all known have not changed, though they were assigned again
    select
        batch_id,
        session_id,
        source_session_id,
        bool_and(is_made_by_gap_rule) as is_made_by_gap_rule,
        bool_and(is_new) as is_opened,
        min(event_at) filter (where is_new) < max(event_at) filter (where not is_new) as is_joined_before_its_end,
        -- an event that waited for its item is not late, because its item was
        min(event_at) filter (where is_new and not has_waited) < max(event_at) filter (where not is_new)
            as is_joined_late,
        bool_or(is_new and position = 1) and not bool_and(is_new) as is_renamed
    from assigned_events
    group by batch_id, session_id, source_session_id
    having bool_or(is_new)
),

known_events_of_joined_sessions as (
    -- The known events of sessions in which a new event lies before a known one, without the tracker's own sessions.
    -- is_after_gap: the event lies more than one session gap after the known event before it, so that the two were in
    -- different sessions until a new event between them joined these
    select
        assigned_events.session_id,
        assigned_events.event_at - lag(assigned_events.event_at) over by_session
        > {{ interval_of_minutes(var('session_gap_minutes')) }} as is_after_gap
    from assigned_events
    semi join changed_sessions
        on
            assigned_events.session_id = changed_sessions.session_id and changed_sessions.is_joined_before_its_end
            and changed_sessions.is_made_by_gap_rule
    where not assigned_events.is_new
    window by_session as (
        partition by assigned_events.session_id order by assigned_events.event_at, assigned_events.position
    )
),

sessions_made_by_merging as (
    -- sessions that consist of several known sessions
    select distinct session_id
    from known_events_of_joined_sessions
    where is_after_gap
)

select
    changed_sessions.batch_id,
    count(*) as session_count,
    count(*) filter (where changed_sessions.is_opened) as opened_count,
    count(*) filter (where changed_sessions.is_joined_late) as joined_late_count,
    count(*) filter (where changed_sessions.is_renamed) as renamed_count,
    count(sessions_made_by_merging.session_id) as merged_count,
    '{{ session_rule() }}' as session_rule
from changed_sessions
left join sessions_made_by_merging on changed_sessions.session_id = sessions_made_by_merging.session_id
group by changed_sessions.batch_id
