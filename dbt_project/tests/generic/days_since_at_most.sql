{# `days` is the number of days since the newest time in a column, or since the oldest time if `newest` is false; the
   test's `fail_calc` compares `days` with a limit. A part of a day counts as one day. `days` is null for an empty
   table. #}
{% test days_since_at_most(model, column_name, newest=true) %}
{% set moment = ('max(' if newest else 'min(') ~ column_name ~ ')' %}
{% set age = minutes_between(moment, "'" ~ run_started_at ~ "'::timestamptz") %}
select ceil({{ age }} / 1440.0)::integer as days
from {{ model }}
{% endtest %}
