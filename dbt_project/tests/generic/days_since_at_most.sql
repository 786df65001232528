{# Days since the newest time in a column, or since the oldest; a part of a day counts as one. For `fail_calc`. Null
   where there is no row yet. #}
{% test days_since_at_most(model, column_name, newest=true) %}
{% set moment = ('max(' if newest else 'min(') ~ column_name ~ ')' %}
{% set age = minutes_between(moment, "'" ~ run_started_at ~ "'::timestamptz") %}
select ceil({{ age }} / 1440.0)::integer as days
from {{ model }}
{% endtest %}
