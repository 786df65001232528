{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key='session_id',
    incremental_predicates=["started_at >= " ~ remembered('changed_from', "'-infinity'::timestamptz")],
    pre_hook=[
        "{{ remember('totals_after', newest_build('assigned_batch_id')) }}",
        "{{ remember('changed_from', changed_from()) }}",
    ],
    post_hook="delete from {{ this }} where event_count = 0"
) }}

with reassigned as (
    -- session_items rewrites whole visits, so these rows hold each session complete
    select *
    from {{ ref('session_items') }}
    where assigned_batch_id > {{ remembered('totals_after', 0) }}
),

counted as (
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
        -- who logged in last is who acts from then on
        arg_max(user_id, (event_at, event_id)) as user_id,
        max(cut_reason) as cut_reason,
        min(bot_reason) as bot_reason,
        max(assigned_batch_id) as assigned_batch_id
    from reassigned
    group by session_id, visitor_id, source_session_id, visit_started_at
)

select
    * replace (
        coalesce(
            bot_reason,
            case
                when
                    event_count > {{ var('bot_events_per_minute') or 'null' }}
                    * greatest(1, {{ minutes_between('started_at', 'ended_at') }}) then 'rate'
            end
        ) as bot_reason
    )
from counted

{% if is_incremental() %}
union all by name
-- a session whose first event now lies in another session has ceased to exist: replaced by an empty row here,
-- which the post-hook removes in the same transaction
select ceased.* replace (0 as event_count)
from {{ this }} as ceased
inner join reassigned on ceased.first_event_id = reassigned.event_id
where
    ceased.session_id <> reassigned.session_id
    and ceased.started_at >= {{ remembered('changed_from', "'-infinity'::timestamptz") }}
{% endif %}
