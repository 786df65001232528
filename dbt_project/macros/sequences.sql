{# The key of the sequence that an event belongs to, by the var `sequence_scope`. The caller joins session_items as
   `items`, and for the scope user sessions as `sessions`. #}
{% macro sequence_key() -%}
    {%- if var('sequence_scope') == 'session' -%} items.session_id
    {%- elif var('sequence_scope') == 'visitor' -%} items.visitor_id
    {%- elif var('sequence_scope') == 'user' -%}
        {#- the prefixes keep a user's id apart from an equal id of somebody else's device #}
        coalesce('user:' || sessions.stitched_user_id, 'visitor:' || sessions.visitor_id)
    {%- else -%}
        {{ exceptions.raise_compiler_error(
            "sequence_scope is session, visitor or user, not " ~ var('sequence_scope')) }}
    {%- endif -%}
{%- endmacro %}

{# What an event adds to its item's popularity, by the var `event_weights`; 1 for a type without a weight. #}
{% macro event_weight() -%}
    {%- if var('event_weights') is mapping and var('event_weights') -%}
    case event_type
        {%- for type, weight in var('event_weights').items() %}
        when {{ text_list([type]) }} then {{ weight | float }}
        {%- endfor %}
        else 1
    end
    {%- else -%} 1 {%- endif -%}
{%- endmacro %}
