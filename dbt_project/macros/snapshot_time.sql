{# The current time as a TIMESTAMPTZ, which is an instant. dbt's snapshots write it into dbt_valid_from and
   dbt_valid_to. dbt-duckdb's own macro returns a TIMESTAMP: the wall clock of the connection's time zone. #}
{% macro duckdb__snapshot_get_time() -%}
    now()
{%- endmacro %}
