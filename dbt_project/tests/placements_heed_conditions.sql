-- For each placement, the condition `items` is true for every row of its lists, and the visitors who have a list are
-- those for whom the condition `visitors` is true.
-- depends_on: {{ ref('placement_recommendations') }}
-- depends_on: {{ ref('placement_lists') }}
{{ empty_result() }}
{% for rule in placement_rules('items') %}
union all
select {{ text_literals([rule['placement']]) }}, judged_visitor_id, item_id
from ({{ list_rows_with_rule_columns(rule['placement']) }}) as item
where not coalesce(({{ rule['definition'] }}
), false)
{% endfor %}
{% for rule in placement_rules('k') %}
{% set conditions = placement_rules('visitors') | selectattr('placement', 'equalto', rule['placement']) | list %}
union all
select {{ text_literals([rule['placement']]) }}, coalesce(visitor_id, listed_visitor_id), null
from (
    select visitor_id
    from ({{ placement_rules('visitors_query')[0]['definition'] }}) as visitor
    {% if conditions %}where coalesce(({{ conditions[0]['definition'] }}
    ), false){% endif %}
) as expected_visitors
full join (
    select visitor_id as listed_visitor_id from {{ ref('placement_lists') }}
    where placement = {{ text_literals([rule['placement']]) }}
) as lists on expected_visitors.visitor_id = lists.listed_visitor_id
where expected_visitors.visitor_id is null or lists.listed_visitor_id is null
{% endfor %}
