{# A key is unique. The keys of the newest seven builds are looked for in all rows, because only a new row can be a
   copy. Seven builds, not one: builds may have been interrupted before their tests. After a full refresh all rows are
   new, so all are compared; at five million rows that costs ten times as much. #}
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
