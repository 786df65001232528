{# No value of the column repeats. (If item_id is part of the dbt var `event_identity`, event_id may repeat, but not
   with the same item_id.) Only the values of the newest seven builds are looked for in all rows, because only a new row
   can repeat a value. They are seven, because earlier builds may have been interrupted before their tests. After a full
   refresh all rows are new, so that all are compared; at five million rows, this takes ten times as long. #}
{% test unique_in_new_builds(model, column_name, build_column) %}
{% set key = event_key() if column_name == 'event_id' else column_name %}
select {{ key }} as repeated_key, count(*) as row_count
from {{ model }}
where {{ key }} in (
    select {{ key }} from {{ model }}
    where {{ build_column }} > (select max({{ build_column }}) - 7 from {{ model }})
)
group by repeated_key
having count(*) > 1
{% endtest %}
