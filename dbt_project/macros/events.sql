{# Conditions and values that the models of events share. `nextmart forget` renders them too. #}

{# Whether a row is an event in its own right, usable now or as soon as the catalogue has its item. #}
{% macro is_identified_event() -%}
    (reject_reason is null or reject_reason = 'unknown_item')
{%- endmacro %}

{# What two rows of one event_id must agree on to be the same event. #}
{% macro event_payload() -%}
    row(visitor_id, user_id, item_id, event_type, event_at, source_session_id)
{%- endmacro %}

{# The order in which rows of one event_id count: the first to arrive is kept. Rows of one arrival are ordered by their
   content, so that the order is total. `event_at_text` is the time as loaded. #}
{% macro first_come_order(event_at_text) -%}
    loaded_at, {{ event_payload() }}, user_agent nulls last, {{ event_at_text }}
{%- endmacro %}

{# A rejected row as JSON for people to look at: as it was loaded, except that blank text is null. #}
{% macro raw_event_json() -%}
    {{ return(adapter.dispatch('raw_event_json', 'nextmart')()) }}
{%- endmacro %}

{% macro default__raw_event_json() -%}
    to_json({
        'event_id': event_id, 'visitor_id': visitor_id, 'user_id': user_id, 'item_id': item_id,
        'event_type': event_type, 'event_at': event_at_text, 'source_session_id': source_session_id,
        'user_agent': user_agent
    })
{%- endmacro %}
