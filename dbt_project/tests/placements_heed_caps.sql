-- No list of a placement has more items with the same value in a column than the placement's key `max_per` allows.
-- depends_on: {{ ref('placement_recommendations') }}
{{ empty_result() }}
{% for rule in placement_rules('max_per') %}
{% set column = '"' ~ (rule['target'] | replace('"', '""')) ~ '"' %}
union all
select {{ text_literals([rule['placement']]) }}, judged_visitor_id, min(item_id)
from ({{ list_rows_with_rule_columns(rule['placement']) }}) as item
where {{ column }} is not null
group by judged_visitor_id, {{ column }}
having count(*) > {{ rule['definition'] }}
{% endfor %}
