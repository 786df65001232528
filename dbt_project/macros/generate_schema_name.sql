{# A model's schema, named as in dbt_project.yml: staging, sessions, catalog or recommendations. Users query these
   names. dbt's own macro would put the target's schema before the name. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
