{#
Judges every raw event once: usable, waiting for its item, or rejected with a reason.
1. A build reads the new arrivals from int_events_typed, and rejects an event whose item the catalogue lacks.
2. Of several rows under one event_id the first to arrive is kept; a later row is dropped if it says the same, else
   rejected as duplicate_event_id.
3. An event that was rejected for its unknown item becomes usable in the first build whose catalogue has the item.
4. Builds overlap: each reads the newest known arrivals again, in case a slow transaction has added rows to them. Rule 2
   and the row_key of rejected rows keep out what earlier builds have judged.
5. batch_id numbers builds, so that later models can ask for the rows that are new to them.
#}
{{ config(
    alias='checked_events',
    materialized='incremental', incremental_strategy='delete+insert', unique_key='row_key',
    incremental_predicates=["reject_reason = 'unknown_item'"],
    pre_hook=[
        "{{ set_build_bound('earliest_arrival', earliest_arrival()) }}",
        "{{ set_build_bound('latest_arrival', latest_arrival()) }}",
    ]
) }}

with judged as (
    select
        events.* replace (
            coalesce(events.reject_reason, case when items.item_id is null then 'unknown_item' end) as reject_reason
        ),
        true as is_new,
        null::timestamptz as built_at
    from {{ ref('int_events_typed') }} as events
    left join {{ ref('stg_items') }} as items on events.item_id = items.item_id
),

{% if is_incremental() %}
known as (
    -- events of earlier builds whose event_id comes again
    select * exclude (row_key, raw_row, batch_id), false as is_new
    from {{ this }}
    where
        event_id in (select event_id from {{ ref('int_events_typed') }})
        and {{ is_identified_event() }}
),
{% endif %}

repeated_ids as (
    -- most ids come once: only the rows of the others have to be compared
    select event_id from {{ ref('int_events_typed') }}
    where event_id is not null
    group by event_id
    having count(*) > 1
    {% if is_incremental() %}
    union
    select event_id from known
    {% endif %}
),

repeated as (
    select * from judged
    where {{ is_identified_event() }} and event_id in (select event_id from repeated_ids)
    {% if is_incremental() %}
    union all by name
    select * from known
    {% endif %}
),

compared as (
    -- one event_id is one event: the first row to arrive is kept, and one of an earlier build before any new row
    select
        *,
        {{ event_payload() }} as payload,
        row_number() over first_come as place,
        first_value({{ event_payload() }}) over first_come as kept_payload
    from repeated
    window first_come as (partition by event_id order by is_new, {{ first_come_order('event_at_text') }})
),

identified as (
    select * from judged
    where
        {{ is_identified_event() }}
        and event_id not in (select event_id from repeated_ids)

    union all by name
    select * exclude (payload, place, kept_payload) from compared
    where place = 1 and is_new

    {% if is_incremental() %}
    union all by name
    -- an event may arrive before its item: it becomes usable once the catalogue has the item
    select * exclude (row_key, raw_row, batch_id) replace (null as reject_reason)
    from {{ this }}
    where reject_reason = 'unknown_item' and item_id in (select item_id from {{ ref('stg_items') }})
    {% endif %}
),

rejected as (
    select distinct * from judged
    where reject_reason <> 'unknown_item'

    union all by name
    -- a later row that says the same is dropped; one that says something else is a conflict for people to look at
    select distinct * exclude (payload, place, kept_payload) replace ('duplicate_event_id' as reject_reason)
    from compared
    where place > 1 and is_new and payload is distinct from kept_payload
),

keyed as (
    select *, event_id as row_key from identified

    union all by name
    -- a rejected row may lack an event_id, or share it with the event that was kept
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
    -- a deletion has a number among the builds too: after it the newest build may have no row left
    {% if is_incremental() %}
    (
        select
            greatest(
                (select coalesce(max(batch_id), 0) from {{ this }}),
                (select max(batch_id) from {{ source('ml', 'deletions') }})
            ) + 1
    )
    {% else %}1{% endif %} as batch_id,
    coalesce(built_at, '{{ run_started_at }}'::timestamptz) as built_at
from keyed
{% if is_incremental() %}
where
    -- rejected rows that earlier builds hold already
    row_key not in (
        select row_key from {{ this }}
        where reject_reason is not null and reject_reason <> 'unknown_item'
    )
{% endif %}
