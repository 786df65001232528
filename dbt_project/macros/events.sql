{# SQL conditions and expressions that the dbt models of events share. `nextmart forget` uses them too. #}

{# Condition that an event is usable, or becomes usable as soon as the catalogue has the event's item. #}
{% macro is_usable_once_item_is_known() -%}
    (reject_reason is null or reject_reason = 'unknown_item')
{%- endmacro %}

{# Query for the batch_id and the built_at of the events that each build was the first to judge. An event that waited for
   its item has a batch_id and a built_at that are no such pair: it has the batch_id of the build in which it became
   usable, and the built_at of the build that judged it first. #}
{% macro first_judgements() -%}
    select batch_id, max(built_at) as built_at
    from (
        select min(batch_id) as batch_id, built_at
        from {{ ref('int_events_checked') }}
        group by built_at
    ) as earliest_batches
    group by batch_id
{%- endmacro %}

{# The columns by which two rows with the same event_key are compared. The later row is dropped if they are equal in all
   of these columns; otherwise it is rejected. #}
{% macro compared_event_columns() -%}
    row(visitor_id, user_id, item_id, event_type, event_at, source_session_id)
{%- endmacro %}

{# Sort keys for the rows of one event, those with the same event_key: the first to arrive comes first, and is the one
   that is kept. Rows that arrived at the same time are sorted by their content, so that the order never depends on
   chance. `event_at_text` is the event's time as it was loaded. #}
{% macro event_arrival_sort_keys(event_at_text) -%}
    loaded_at, {{ compared_event_columns() }}, user_agent nulls last, {{ event_at_text }}
{%- endmacro %}

{# A rejected event as JSON for people to look at: the row as it was loaded, except that blank text is null. #}
{% macro raw_event_json() -%}
    {{ return(adapter.dispatch('raw_event_json', 'nextmart')()) }}
{%- endmacro %}

{% macro default__raw_event_json() -%}
    to_json({
        'event_id': event_id, 'visitor_id': coalesce(visitor_id, loaded_ids.visitor_id),
        'user_id': coalesce(user_id, loaded_ids.user_id), 'item_id': coalesce(item_id, loaded_ids.item_id),
        'event_type': event_type, 'event_at': event_at_text,
        'source_session_id': coalesce(source_session_id, loaded_ids.source_session_id), 'user_agent': user_agent
    })
{%- endmacro %}
