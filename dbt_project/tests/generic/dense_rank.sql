{# The n rows with the same value of the column `group` have the ranks 1, 2, …, n, each once. #}
{% test dense_rank(model, group) %}
select {{ group }} as grouped_by, count(*) as row_count, min(rank) as lowest, max(rank) as highest
from {{ model }}
group by {{ group }}
having min(rank) <> 1 or max(rank) <> count(*) or count(distinct rank) <> count(*)
{% endtest %}
