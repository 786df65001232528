-- No list of a placement has more items with the same value in a column than the key `max_per` allows.
-- depends_on: {{ ref('placement_recommendations') }}
{{ no_rows() }}
{% for rule in placement_rules('max_per') %}
{% set column = '"' ~ (rule['target'] | replace('"', '""')) ~ '"' %}
union all
select {{ text_list([rule['placement']]) }}, judged_visitor_id, min(item_id)
from ({{ judged_rows(rule['placement']) }}) as item
where {{ column }} is not null
group by judged_visitor_id, {{ column }}
having count(*) > {{ rule['definition'] }}
{% endfor %}
