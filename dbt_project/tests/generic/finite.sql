{# The column is never NaN or infinite. In descending order NaN sorts before every number, so an item whose score is NaN
   would be first in every list. #}
{% test finite(model, column_name) %}
select *
from {{ model }}
where not isfinite({{ column_name }})
{% endtest %}
