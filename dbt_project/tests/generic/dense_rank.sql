{# The ranks of each group's n rows are 1, 2, …, n, each once. #}
{% test dense_rank(model, group) %}
select {{ group }} as grouped_by, count(*) as row_count, min(rank) as lowest, max(rank) as highest
from {{ model }}
group by {{ group }}
having min(rank) <> 1 or max(rank) <> count(*) or count(distinct rank) <> count(*)
{% endtest %}
