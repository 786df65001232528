{# The column is unique; event_id may repeat if item_id is part of the dbt var `event_identity`, but not with the same
   item_id. Only the values in the newest seven builds are compared with all rows, because only a new row can repeat a
   value. Seven builds, not one, because builds may have been interrupted before their tests. After a full refresh all
   rows are new, so all are compared; at five million rows that costs ten times as much. #}
{% test unique_in_new_builds(model, column_name, build) %}
{% set key = event_key() if column_name == 'event_id' else column_name %}
select {{ key }} as repeated_key, count(*) as copies
from {{ model }}
where {{ key }} in (
    select {{ key }} from {{ model }}
    where {{ build }} > (select max({{ build }}) - 7 from {{ model }})
)
group by repeated_key
having count(*) > 1
{% endtest %}
