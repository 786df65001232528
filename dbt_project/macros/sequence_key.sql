{# The column that tells sequences apart, by the var `sequence_scope`. #}
{% macro sequence_key() -%}
    {%- if var('sequence_scope') == 'session' -%} session_id
    {%- elif var('sequence_scope') == 'visitor' -%} visitor_id
    {%- else -%}
        {{ exceptions.raise_compiler_error("sequence_scope is session or visitor, not " ~ var('sequence_scope')) }}
    {%- endif -%}
{%- endmacro %}
