{# Macros for the identity of events: two rows are the same event if they agree in the columns of the dbt var
   `event_identity`. If these columns are event_id and item_id, the lines of an order may share one event_id, and each
   line is an event of its own. #}

{# The key of an event: its event_id, or text made of event_id and item_id. The length of the event_id comes first, so
   that ('a', 'b:c') and ('a:b', 'c') have different keys. `relation` is the alias of the relation with the columns. #}
{% macro event_key(relation='') -%}
    {%- set prefix = relation ~ '.' if relation else '' -%}
    {%- if is_item_in_event_identity() -%}
    (strlen({{ prefix }}event_id)::varchar || ':' || {{ prefix }}event_id || ':' || {{ prefix }}item_id)
    {%- else -%}
    {{ prefix }}event_id
    {%- endif -%}
{%- endmacro %}

{# The columns by which events are sorted. No two events are equal in all of them, so that the order doesn't depend on
   where rows lie on disk. #}
{% macro event_sort_keys() -%}
    event_at, event_id{% if is_item_in_event_identity() %}, item_id{% endif %}
{%- endmacro %}

{# Tells whether item_id is part of `event_identity`: returns the text yes, or an empty text. Raises a compiler error if
   `event_identity` has another value than the two allowed ones. #}
{% macro is_item_in_event_identity() -%}
    {%- if var('event_identity') == ['event_id', 'item_id'] -%}
    yes
    {%- elif var('event_identity') != ['event_id'] -%}
    {%- do exceptions.raise_compiler_error(
        "event_identity is ['event_id'] or ['event_id', 'item_id'], not " ~ var('event_identity')) -%}
    {%- endif -%}
{%- endmacro %}
