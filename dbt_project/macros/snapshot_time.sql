{# An instant. dbt-duckdb's own is a TIMESTAMP, the wall clock of the session's zone. #}
{% macro duckdb__snapshot_get_time() -%}
    now()
{%- endmacro %}
