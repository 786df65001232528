{# The key of the sequence to which an event belongs. The dbt var `sequence_scope` says whether a sequence is that of a
   session, of a visitor or of a user. The query that uses the key must have session_items under the alias `items`; if
   the scope is user, it must have sessions under the alias `sessions` instead. #}
{% macro sequence_key() -%}
    {%- if var('sequence_scope') == 'session' -%} items.session_id
    {%- elif var('sequence_scope') == 'visitor' -%} items.visitor_id
    {%- elif var('sequence_scope') == 'user' -%}
        {#- without the prefixes, a user's id could equal the visitor_id of somebody else's device #}
        coalesce('user:' || sessions.stitched_user_id, 'visitor:' || sessions.visitor_id)
    {%- else -%}
        {{ exceptions.raise_compiler_error(
            "sequence_scope is session, visitor or user, not " ~ var('sequence_scope')) }}
    {%- endif -%}
{%- endmacro %}

{# Whether models predict events of this type: whether the dbt var `target_event_types` is empty or names it. #}
{% macro is_target_event(event_type) -%}
    {%- if var('target_event_types') -%}
    coalesce({{ event_type }} in ({{ text_literals(var('target_event_types')) }}), false)
    {%- else -%} true {%- endif -%}
{%- endmacro %}

{# The items of a relation with the columns of latest_sequences that are targets: those that a list without repeats must
   not hold. #}
{% macro target_items(relation) -%}
    {%- if var('target_event_types') -%} list_where({{ relation }}.items, {{ relation }}.is_target)
    {%- else -%} {{ relation }}.items {%- endif -%}
{%- endmacro %}

{# What an event adds to its item's popularity: the weight of its event_type in the dbt var `event_weights`, or 1 if
   the type has no weight there. #}
{% macro event_weight() -%}
    {%- if var('event_weights') is mapping and var('event_weights') -%}
    case event_type
        {%- for type, weight in var('event_weights').items() %}
        when {{ text_literals([type]) }} then {{ weight | float }}
        {%- endfor %}
        else 1
    end
    {%- else -%} 1 {%- endif -%}
{%- endmacro %}
