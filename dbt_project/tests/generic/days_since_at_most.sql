{# Returns `days`, the number of days since the newest time in a column, or since the oldest time if
   `counts_from_newest` is false. A part of a day counts as one day. `days` is null for an empty table. The `fail_calc`
   of the test compares it with a limit. #}
{% test days_since_at_most(model, column_name, counts_from_newest=true) %}
{% set moment = ('max(' if counts_from_newest else 'min(') ~ column_name ~ ')' %}
{% set age = minutes_between(moment, "'" ~ run_started_at ~ "'::timestamptz") %}
select ceil({{ age }} / 1440.0)::integer as days
from {{ model }}
{% endtest %}
