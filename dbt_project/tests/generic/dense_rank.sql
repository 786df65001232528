{# Rows with the same value of the SQL expression `group_expression` have the ranks 1, 2, …, n, each once, where n is
   their number. #}
{% test dense_rank(model, group_expression) %}
select {{ group_expression }} as group_value, count(*) as row_count, min(rank) as lowest_rank, max(rank) as highest_rank
from {{ model }}
group by {{ group_expression }}
having min(rank) <> 1 or max(rank) <> count(*) or count(distinct rank) <> count(*)
{% endtest %}
