{#
Judges every raw event once: it is usable, waits for its item, or is rejected with a reason.
1. A build reads the new arrivals from int_events_typed, and rejects an event whose item the catalogue lacks.
2. Rows that agree in the columns of `event_identity` are rows of one event, of which the first to arrive is kept. A
   later row is dropped if it says the same, else rejected as duplicate_event_id.
3. An event that was rejected for its unknown item becomes usable in the first build whose catalogue has the item.
4. Builds overlap: each build reads the last arrivals of earlier builds again, because a slow transaction may have
   committed more rows with those arrival times. Rows that earlier builds have judged are not judged twice, because of
   rule 2 and of the row_key of rejected rows.
5. batch_id is the number of the build. Models that read int_events_checked select their new rows by batch_id.
#}
{{ config(
    alias='checked_events',
    materialized='incremental', incremental_strategy='delete+insert', unique_key='row_key',
    incremental_predicates=["reject_reason = 'unknown_item'"],
    pre_hook=[
        "{{ set_build_bound('earliest_arrival_to_read', earliest_arrival_to_read()) }}",
        "{{ set_build_bound('latest_arrival_to_read', latest_arrival_to_read()) }}",
    ]
) }}

with new_events_with_reject_reasons as (
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
earlier_rows_of_new_events as (
    -- the rows of earlier builds for events that have new rows too; their ids are compared with `null_words` again,
    -- because this dbt var may have had fewer words in those builds
    select
        * exclude (row_key, raw_row, batch_id) replace (
            {{ null_word_as_null('user_id') }} as user_id,
            {{ null_word_as_null('source_session_id') }} as source_session_id
        ),
        false as is_new
    from {{ this }}
    where
        {{ event_key() }} in (select {{ event_key() }} from new_events_with_reject_reasons)
        and {{ is_usable_once_item_is_known() }}
),
{% endif %}

repeated_event_keys as (
    -- keys of the events with several rows; only these need a comparison of rows
    select {{ event_key() }} as event_key from new_events_with_reject_reasons
    where {{ event_key() }} is not null
    group by event_key
    having count(*) > 1
    {% if is_incremental() %}
    union
    select {{ event_key() }} as event_key from earlier_rows_of_new_events
    {% endif %}
),

repeated_events as (
    select * from new_events_with_reject_reasons
    where {{ is_usable_once_item_is_known() }} and {{ event_key() }} in (select event_key from repeated_event_keys)
    {% if is_incremental() %}
    union all by name
    select * from earlier_rows_of_new_events
    {% endif %}
),

repeated_events_by_arrival as (
    -- the rows of one event in order of arrival, of which the first is kept; rows of earlier builds precede new rows
    select
        *,
        {{ compared_event_columns() }} as compared_columns,
        row_number() over by_arrival as arrival_rank,
        first_value({{ compared_event_columns() }}) over by_arrival as kept_compared_columns
    from repeated_events
    window by_arrival as (partition by {{ event_key() }} order by is_new, {{ event_arrival_sort_keys('event_at_text') }})
),

kept_events as (
    select * from new_events_with_reject_reasons
    where
        {{ is_usable_once_item_is_known() }}
        and {{ event_key() }} not in (select event_key from repeated_event_keys)

    union all by name
    select * exclude (compared_columns, arrival_rank, kept_compared_columns) from repeated_events_by_arrival
    where arrival_rank = 1 and is_new

    {% if is_incremental() %}
    union all by name
    -- an event that arrived before its item becomes usable once the catalogue has the item
    select * exclude (row_key, raw_row, batch_id) replace (null as reject_reason)
    from {{ this }}
    where reject_reason = 'unknown_item' and item_id in (select item_id from {{ ref('stg_items') }})
    {% endif %}
),

{% if is_incremental() %}
rows_found_usable as (
    select event_id, visitor_id, item_id, event_type, event_at, loaded_at from {{ this }}
    where
        loaded_at >= {{ build_bound('earliest_arrival_to_read', "'-infinity'::timestamptz") }}
        and {{ is_usable_once_item_is_known() }}
),
{% endif %}

rejected_rows as (
    select distinct new_rows.* from new_events_with_reject_reasons as new_rows
    {% if is_incremental() %}
    -- a row that an earlier build found usable is not rejected because the dbt vars have changed since
    anti join rows_found_usable
        on
            new_rows.event_id = rows_found_usable.event_id
            and coalesce(new_rows.visitor_id, new_rows.loaded_ids.visitor_id) = rows_found_usable.visitor_id
            and coalesce(new_rows.item_id, new_rows.loaded_ids.item_id) = rows_found_usable.item_id
            and new_rows.event_type = rows_found_usable.event_type
            and new_rows.event_at = rows_found_usable.event_at
            and new_rows.loaded_at = rows_found_usable.loaded_at
    {% endif %}
    where new_rows.reject_reason <> 'unknown_item'

    union all by name
    -- the later rows of an event that differ from the kept row; those that don't differ are dropped
    select distinct
        * exclude (compared_columns, arrival_rank, kept_compared_columns) replace ('duplicate_event_id' as reject_reason)
    from repeated_events_by_arrival
    where arrival_rank > 1 and is_new and compared_columns is distinct from kept_compared_columns
),

events_with_row_keys as (
    select *, {{ event_key() }} as row_key from kept_events

    union all by name
    -- a rejected row needs a key of its own: it may lack an event_id, or have that of an event that was kept
    select
        *,
        'rejected-' || md5({{ raw_event_json() }}::varchar || coalesce(loaded_at::varchar, '')) as row_key
    from rejected_rows
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
    -- the next number after those of all builds and deletions; `nextmart forget` takes a batch_id for each deletion,
    -- and may have deleted all rows of the newest build
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
from events_with_row_keys
{% if is_incremental() %}
where
    -- rejected rows that earlier builds have stored are not stored again
    row_key not in (
        select row_key from {{ this }}
        where reject_reason is not null and reject_reason <> 'unknown_item'
    )
{% endif %}
