{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key='visitor_id',
    pre_hook="{{ set_build_bound('user_mapping_last_build', newest_build_number('batch_id')) }}"
) }}

with logins as (
    select visitor_id, user_id, event_at, event_id, batch_id
    from {{ ref('stg_events') }}
    where user_id is not null and batch_id > {{ build_bound('user_mapping_last_build', 0) }}

    {% if is_incremental() %}
    union all by name
    select visitor_id, user_id, logged_in_at as event_at, event_id, batch_id
    from {{ this }}
    {% endif %}
)

select
    visitor_id,
    -- a device with several users belongs to the user who logged in last: an earlier user may have passed the device on
    arg_max(user_id, (event_at, event_id, user_id)) as user_id,
    max(event_at) as logged_in_at,
    arg_max(event_id, (event_at, event_id)) as event_id,
    max(batch_id) as batch_id
from logins
group by visitor_id
