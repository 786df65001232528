{# The column is never NaN or infinite. NaN sorts before every number in descending order, so it would top every list.
   #}
{% test finite(model, column_name) %}
select *
from {{ model }}
where not isfinite({{ column_name }})
{% endtest %}
