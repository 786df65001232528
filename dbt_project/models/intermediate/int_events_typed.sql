{{ config(materialized='view') }}

with arrived_events as (
    select *
    from {{ source('raw', 'events') }}
    where
        -- the pre-hooks of int_events_checked choose the arrivals that its build reads; any other query of
        -- int_events_typed reads all of them
        loaded_at is null
        or loaded_at between {{ build_bound('earliest_arrival_to_read', "'-infinity'::timestamptz") }}
        and {{ build_bound('latest_arrival_to_read', "'infinity'::timestamptz") }}

    union all by name
    -- users may replace the table raw.events by a view of their own; if the view lacks an optional column, the column
    -- is null here
    select null::varchar as user_id, null::varchar as source_session_id, null::varchar as user_agent
    where false
),

trimmed_events as (
    select
        {{ blank_as_null('event_id') }} as event_id,
        {{ blank_as_null('visitor_id') }} as visitor_id,
        {{ blank_as_null('user_id') }} as user_id,
        {{ blank_as_null('item_id') }} as item_id,
        {{ blank_as_null('event_type') }} as event_type,
        {{ blank_as_null('source_session_id') }} as source_session_id,
        {{ blank_as_null('user_agent') }} as user_agent,
        {{ blank_as_null('event_at') }} as event_at_text,
        loaded_at
    from arrived_events
),

events_with_null_words_as_null as (
    select
        * replace (
            {{ null_word_as_null('visitor_id') }} as visitor_id,
            {{ null_word_as_null('user_id') }} as user_id,
            {{ null_word_as_null('item_id') }} as item_id,
            {{ null_word_as_null('source_session_id') }} as source_session_id
        ),
        struct_pack(
            visitor_id := visitor_id, user_id := user_id, item_id := item_id, source_session_id := source_session_id
        ) as loaded_ids
    from trimmed_events
),

typed_events as (
    select
        * replace (
            -- loaded_ids is kept only if an id was one of `null_words`: raw_event_json then shows the ids as loaded
            case
                when
                    loaded_ids is distinct from struct_pack(
                        visitor_id := visitor_id, user_id := user_id, item_id := item_id,
                        source_session_id := source_session_id
                    )
                    then loaded_ids
            end as loaded_ids
        ),
        {{ to_timestamp_utc('event_at_text') }} as event_at
    from events_with_null_words_as_null
)

select
    *,
    -- reject_reason is the first reason that applies; tests for null come first, because a comparison with null never
    -- applies
    case
        when event_id is null then 'missing_event_id'
        when visitor_id is null then 'missing_visitor_id'
        when item_id is null then 'missing_item_id'
        when event_type is null then 'missing_event_type'
        when loaded_at is null then 'missing_loaded_at'
        when event_at_text is null then 'missing_event_at'
        when event_at is null then 'unparsable_event_at'
        when event_at < cast('{{ var("earliest_event_at") }}' as timestamptz) then 'event_at_too_early'
        when event_at > loaded_at + {{ interval_of_minutes(var('clock_skew_minutes')) }} then 'event_at_in_future'
        {% if var('known_event_types') %}
        when event_type not in ({{ text_literals(var('known_event_types')) }}) then 'unknown_event_type'
        {% endif %}
    end as reject_reason,
    -- a bot's event is usable: it is counted, but no model learns from it
    case
        when {{ matches_regex('user_agent', var('bot_user_agents')) }} then 'user_agent'
        when {{ var('bot_rule') }} then 'rule'
    end as bot_reason
from typed_events
