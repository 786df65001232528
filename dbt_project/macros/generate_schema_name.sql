{# A model's schema as dbt_project.yml names it (staging, sessions, catalog, recommendations), because users query these
   names. dbt's own macro would put the target's schema before the name. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
