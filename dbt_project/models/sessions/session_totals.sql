{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key='session_id',
    incremental_predicates=["started_at >= " ~ build_bound('earliest_changed_session_start', "'-infinity'::timestamptz")],
    pre_hook=[
        "{{ set_build_bound('session_totals_last_build', newest_build_number('assigned_batch_id')) }}",
        "{{ set_build_bound('earliest_changed_session_start', earliest_changed_session_start()) }}",
    ],
    post_hook="delete from {{ this }} where event_count = 0"
) }}

{% set microseconds_a_minute = 60000000 %}

with events_of_changed_sessions as (
    -- all events of all sessions that may have changed; none of their events is missing, because session_items assigns
    -- whole visits again
    select *
    from {{ ref('session_items') }}
    where assigned_batch_id > {{ build_bound('session_totals_last_build', 0) }}
),

sessions_with_totals as (
    select
        session_id,
        visitor_id,
        max(event_id) filter (where position = 1) as first_event_id,
        source_session_id,
        visit_started_at,
        min(event_at) as started_at,
        max(event_at) as ended_at,
        count(*) as event_count,
        count(distinct item_id) as item_count,
        count(*) filter (where event_type = 'purchase') as purchase_count,
        -- the user of the session's last event that has a user_id
        arg_max(user_id, (event_at, event_id, user_id)) as user_id,
        max(cut_reason) as cut_reason,
        min(bot_reason) as bot_reason,
        max(assigned_batch_id) as assigned_batch_id
    from events_of_changed_sessions
    group by session_id, visitor_id, source_session_id, visit_started_at
),

sessions_with_bot_reasons as (
    -- a session whose events have no bot_reason still counts as a bot's if the session has more than
    -- bot_events_per_minute events a minute. Whole microseconds are compared, because minutes would have to be rounded
    select
        * replace (
            coalesce(
                bot_reason,
                case
                    when
                        event_count * {{ microseconds_a_minute }} > {{ var('bot_events_per_minute') or 'null' }}
                        * greatest({{ microseconds_a_minute }}, {{ microseconds_between('started_at', 'ended_at') }})
                        then 'rate'
                end
            ) as bot_reason
        )
    from sessions_with_totals
)

select * from sessions_with_bot_reasons

{% if is_incremental() %}
union all by name
-- A session has ceased to exist if its first event lies in another session now. Here its row gets event_count 0, so
-- that the post-hook finds and deletes the row in the same transaction.
select ceased_sessions.* replace (0 as event_count)
from {{ this }} as ceased_sessions
inner join events_of_changed_sessions on ceased_sessions.first_event_id = events_of_changed_sessions.event_id
where
    ceased_sessions.session_id <> events_of_changed_sessions.session_id
    and ceased_sessions.started_at >= {{ build_bound('earliest_changed_session_start', "'-infinity'::timestamptz") }}
    -- several events may have the event_id of the session's first event; only that event itself counts here
    and {{ is_first_event('ceased_sessions', 'events_of_changed_sessions') }}
{% endif %}
