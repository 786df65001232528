{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key='session_id',
    post_hook="delete from {{ this }} where event_count = 0"
) }}

with reassigned as (
    -- session_items rewrites whole sessions, so these rows hold each session complete
    select * from {{ ref('session_items') }}
    {% if is_incremental() %}
    where assigned_batch_id > (select coalesce(max(assigned_batch_id), 0) from {{ this }})
    {% endif %}
),

counted as (
    select
        session_id,
        visitor_id,
        first_event_id,
        min(event_at) as started_at,
        max(event_at) as ended_at,
        count(*) as event_count,
        count(distinct item_id) as item_count,
        count(*) filter (where event_type = 'purchase') as purchase_count,
        max(assigned_batch_id) as assigned_batch_id
    from reassigned
    group by session_id, visitor_id, first_event_id
)

select * from counted

{% if is_incremental() %}
union all by name
-- a session whose first event now lies in another session has ceased to exist: replaced by an empty row here,
-- which the post-hook removes in the same transaction
select
    ceased.* replace (0 as event_count)
from {{ this }} as ceased
inner join reassigned on ceased.first_event_id = reassigned.event_id
where ceased.session_id <> reassigned.session_id
{% endif %}
