{# NaN sorts before every number in descending order: one of them would top every list. #}
{% test finite(model, column_name) %}
select *
from {{ model }}
where not isfinite({{ column_name }})
{% endtest %}
