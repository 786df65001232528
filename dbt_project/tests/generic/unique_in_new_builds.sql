{# A key is unique: the rows of the newest builds are compared with all, since only they can have brought a copy. A full
   check costs ten times that at five million rows; it is made where all is new, after a full refresh. Seven builds, not
   one: a night may have been interrupted before its tests. #}
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
