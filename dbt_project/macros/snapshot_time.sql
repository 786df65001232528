{# The time that a snapshot gives its versions, as an instant. dbt-duckdb's own macro returns a TIMESTAMP, the wall
   clock of the session's time zone. #}
{% macro duckdb__snapshot_get_time() -%}
    now()
{%- endmacro %}
