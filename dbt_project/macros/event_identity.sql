{# What makes two rows the same event: the dbt var `event_identity`, a list of columns. With the columns event_id and
   item_id, the lines of an order, which share the order's event_id, are an event each. #}

{# The key of an event: its event_id, or text made of event_id and item_id. The length of the event_id comes first, so
   that ('a', 'b:c') and ('a:b', 'c') have different keys. `relation` is the alias of the relation with the columns. #}
{% macro event_key(relation='') -%}
    {%- set of = relation ~ '.' if relation else '' -%}
    {%- if has_item_in_identity() -%}
    (strlen({{ of }}event_id)::varchar || ':' || {{ of }}event_id || ':' || {{ of }}item_id)
    {%- else -%}
    {{ of }}event_id
    {%- endif -%}
{%- endmacro %}

{# The columns by which events are put in order: a total order, so that it doesn't matter where rows lie on disk. #}
{% macro event_order() -%}
    event_at, event_id{% if has_item_in_identity() %}, item_id{% endif %}
{%- endmacro %}

{# Whether item_id is part of `event_identity`: the text yes, or no text. Any value but the two that are allowed is an
   error. #}
{% macro has_item_in_identity() -%}
    {%- if var('event_identity') == ['event_id', 'item_id'] -%}
    yes
    {%- elif var('event_identity') != ['event_id'] -%}
    {%- do exceptions.raise_compiler_error(
        "event_identity is ['event_id'] or ['event_id', 'item_id'], not " ~ var('event_identity')) -%}
    {%- endif -%}
{%- endmacro %}
