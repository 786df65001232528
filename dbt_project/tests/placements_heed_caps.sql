-- no list of a placement has more items with the same value in a column than `max_per` allows
-- depends_on: {{ ref('placement_recommendations') }}
{{ no_rows() }}
{% for rule in placement_rules('max_per') %}
union all
select {{ text_list([rule['placement']]) }}, judged_visitor_id, min(item_id)
from ({{ judged_rows(rule['placement']) }}) as item
where "{{ rule['target'] }}" is not null
group by judged_visitor_id, "{{ rule['target'] }}"
having count(*) > {{ rule['definition'] }}
{% endfor %}
