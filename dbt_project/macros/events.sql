{# Rows that can be used, now or once the catalogue knows their item. #}
{% macro names_an_event() -%}
    (reject_reason is null or reject_reason = 'unknown_item')
{%- endmacro %}

{# What must agree for two rows of one event_id to be the same event. #}
{% macro event_payload() -%}
    row(visitor_id, user_id, item_id, event_type, event_at, source_session_id)
{%- endmacro %}

{# A rejected row as it was read (blank text reads as null), for people to look at. #}
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
