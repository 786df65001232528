{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key='row_key',
    incremental_predicates=["reject_reason = 'unknown_item'"],
    pre_hook=[
        "{{ remember('arrived_from', arrival_watermark()) }}",
        "{{ remember('arrived_until', arrival_cap()) }}",
    ]
) }}

with judged as (
    select
        events.* replace (
            coalesce(events.reject_reason, case when items.item_id is null then 'unknown_item' end) as reject_reason
        ),
        1 as arrival_order,
        null::timestamptz as built_at
    from {{ ref('typed_events') }} as events
    left join {{ ref('stg_items') }} as items on events.item_id = items.item_id
),

{% if is_incremental() %}
known as (
    -- what earlier builds hold under the same names
    select * exclude (row_key, raw_row, batch_id), 0 as arrival_order
    from {{ this }}
    where
        event_id in (select event_id from {{ ref('typed_events') }})
        and {{ names_an_event() }}
),
{% endif %}

repeated_ids as (
    -- most ids come once: only the others are worth comparing
    select event_id from {{ ref('typed_events') }}
    where event_id is not null
    group by event_id
    having count(*) > 1
    {% if is_incremental() %}
    union
    select event_id from known
    {% endif %}
),

identified as (
    select * from judged
    where {{ names_an_event() }} and event_id in (select event_id from repeated_ids)
    {% if is_incremental() %}
    union all by name
    select * from known
    {% endif %}
),

compared as (
    -- one event_id is one event: the first to arrive is kept
    select
        *,
        {{ event_payload() }} as payload,
        row_number() over first_come as place,
        first_value({{ event_payload() }}) over first_come as kept_payload
    from identified
    window first_come as (
        partition by event_id
        order by arrival_order, loaded_at, {{ event_payload() }}, user_agent nulls last, event_at_text
    )
),

named as (
    select * from judged
    where
        {{ names_an_event() }}
        and event_id not in (select event_id from repeated_ids)

    union all by name
    select * exclude (payload, place, kept_payload) from compared
    where place = 1 and arrival_order = 1

    {% if is_incremental() %}
    union all by name
    -- an event may arrive before its item: once the catalogue has it, the event counts after all
    select * exclude (row_key, raw_row, batch_id) replace (null as reject_reason)
    from {{ this }}
    where reject_reason = 'unknown_item' and item_id in (select item_id from {{ ref('stg_items') }})
    {% endif %}
),

rejected as (
    select distinct * from judged
    where reject_reason <> 'unknown_item'

    union all by name
    -- the same words again are one event; other words under its name are a conflict to look at
    select distinct * exclude (payload, place, kept_payload) replace ('duplicate_event_id' as reject_reason)
    from compared
    where place > 1 and arrival_order = 1 and payload is distinct from kept_payload
),

keyed as (
    select *, event_id as row_key from named

    union all by name
    select
        *,
        'rejected-' || md5({{ raw_event_json() }}::varchar || coalesce(loaded_at::varchar, '')) as row_key
    from rejected
)

select
    event_id,
    visitor_id,
    user_id,
    item_id,
    event_type,
    event_at,
    source_session_id,
    user_agent,
    loaded_at,
    bot_reason,
    reject_reason,
    case when reject_reason is not null then {{ raw_event_json() }} end as raw_row,
    row_key,
    -- counts builds, so that what follows can ask for the rows that are new to it; deletions too, after which the newest
    -- build may have no row left
    {% if is_incremental() %}
    (
        select greatest(
            (select coalesce(max(batch_id), 0) from {{ this }}), (select max(batch_id) from {{ source('ml', 'deletions') }})
        ) + 1
    )
    {% else %}1{% endif %} as batch_id,
    coalesce(built_at, '{{ run_started_at }}'::timestamptz) as built_at
from keyed
{% if is_incremental() %}
-- the overlap of arrivals shows rejected rows again
where row_key not in (select row_key from {{ this }} where reject_reason is not null and reject_reason <> 'unknown_item')
{% endif %}
