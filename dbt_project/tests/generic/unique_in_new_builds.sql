{# The column is unique. Only its values in the newest seven builds are compared with all rows, because only a new row
   can repeat a value. Seven builds, not one, because builds may have been interrupted before their tests. After a full
   refresh all rows are new, so all are compared; at five million rows that costs ten times as much. #}
{% test unique_in_new_builds(model, column_name, build) %}
select {{ column_name }}, count(*) as copies
from {{ model }}
where {{ column_name }} in (
    select {{ column_name }} from {{ model }}
    where {{ build }} > (select max({{ build }}) - 7 from {{ model }})
)
group by {{ column_name }}
having count(*) > 1
{% endtest %}
