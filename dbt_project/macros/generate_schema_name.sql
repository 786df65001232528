{# The schema as configured. dbt would put the target's schema before it, but users query these names (staging,
   sessions, catalog, recommendations). #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
