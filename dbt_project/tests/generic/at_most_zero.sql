{# No value of the column is above zero. #}
{% test at_most_zero(model, column_name) %}
select *
from {{ model }}
where {{ column_name }} > 0
{% endtest %}
