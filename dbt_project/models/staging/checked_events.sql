{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='row_key') }}

with arrived as (
    -- the watermark is arrival, not event time, so a late event is new too. The overlap lets in rows that a slow
    -- transaction committed after the last build; what was taken up before is recognised below.
    select
        {{ blank_as_null('event_id') }} as event_id,
        {{ blank_as_null('visitor_id') }} as visitor_id,
        {{ blank_as_null('user_id') }} as user_id,
        {{ blank_as_null('item_id') }} as item_id,
        {{ blank_as_null('event_type') }} as event_type,
        {{ blank_as_null('source_session_id') }} as source_session_id,
        {{ blank_as_null('event_at') }} as event_at_text,
        loaded_at
    from {{ source('raw', 'events') }}
    {% if is_incremental() %}
    where
        loaded_at is null
        or loaded_at >= (
            select coalesce(max(loaded_at), '-infinity') - {{ minutes(var('arrival_overlap_minutes')) }} from {{ this }}
        )
    {% endif %}
),

typed as (
    select *, {{ to_timestamp_utc('event_at_text') }} as event_at
    from arrived
),

judged as (
    -- the first reason that applies; nulls are asked about before anything is compared with them
    select
        typed.*,
        1 as arrival_order,
        case
            when typed.event_id is null then 'missing_event_id'
            when typed.visitor_id is null then 'missing_visitor_id'
            when typed.item_id is null then 'missing_item_id'
            when typed.event_type is null then 'missing_event_type'
            when typed.loaded_at is null then 'missing_loaded_at'
            when typed.event_at_text is null then 'missing_event_at'
            when typed.event_at is null then 'unparsable_event_at'
            when typed.event_at < cast('{{ var("earliest_event_at") }}' as timestamptz) then 'event_at_too_early'
            when typed.event_at > typed.loaded_at + {{ minutes(var('clock_skew_minutes')) }} then 'event_at_in_future'
            when known.item_id is null then 'unknown_item'
        end as reject_reason
    from typed
    left join {{ ref('stg_items') }} as known on typed.item_id = known.item_id
),

identified as (
    -- rows that name an event, beside what earlier builds hold under the same name
    select * from judged
    where reject_reason is null or reject_reason = 'unknown_item'
    {% if is_incremental() %}
    union all by name
    select * exclude (row_key, raw_row, batch_id), 0 as arrival_order
    from {{ this }}
    where
        (reject_reason is null or reject_reason = 'unknown_item')
        and event_id in (select event_id from judged)
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
        partition by event_id order by arrival_order, loaded_at, {{ event_payload() }}, event_at_text
    )
),

taken_up as (
    select * exclude (payload, place, kept_payload)
    from compared
    where place = 1 and arrival_order = 1

    union all by name
    -- the same words again are one event; other words under its name are a conflict to look at
    select distinct * exclude (payload, place, kept_payload, reject_reason), 'duplicate_event_id' as reject_reason
    from compared
    where place > 1 and arrival_order = 1 and payload is distinct from kept_payload

    union all by name
    select distinct * from judged
    where reject_reason <> 'unknown_item'

    {% if is_incremental() %}
    union all by name
    -- an event may arrive before its item: once the catalogue has it, the event counts after all
    select * exclude (row_key, raw_row, batch_id, reject_reason), null as reject_reason
    from {{ this }}
    where reject_reason = 'unknown_item' and item_id in (select item_id from {{ ref('stg_items') }})
    {% endif %}
)

select
    event_id,
    visitor_id,
    user_id,
    item_id,
    event_type,
    event_at,
    source_session_id,
    loaded_at,
    reject_reason,
    case when reject_reason is not null then {{ raw_event_json() }} end as raw_row,
    event_at_text,
    case
        when reject_reason is null or reject_reason = 'unknown_item' then event_id
        else 'rejected-' || md5({{ raw_event_json() }}::varchar || coalesce(loaded_at::varchar, ''))
    end as row_key,
    -- counts builds, so that what follows can ask for the rows that are new to it
    case
        when reject_reason is null
            then {% if is_incremental() %}(select coalesce(max(batch_id), 0) + 1 from {{ this }}){% else %}1{% endif %}
    end as batch_id
from taken_up
