-- In each full list of a placement, a pinned item stands at its rank or nowhere, and the item at a slot's rank fulfils
-- the slot's condition, unless no item at a rank without a pin or slot fulfils it.
-- depends_on: {{ ref('placement_recommendations') }}
-- depends_on: {{ ref('placement_lists') }}
{{ empty_result() }}
{% for pin in placement_rules('pin') %}
union all
select recommended.placement, recommended.visitor_id, recommended.item_id
from {{ ref('placement_recommendations') }} as recommended
semi join {{ ref('placement_lists') }} as lists
    on recommended.placement = lists.placement and recommended.visitor_id = lists.visitor_id and lists.missing = 0
where
    recommended.placement = {{ text_literals([pin['placement']]) }}
    and recommended.item_id = {{ text_literals([pin['definition']]) }} and recommended.rank <> {{ pin['target'] }}
{% endfor %}
{% for slot in placement_rules('slot') %}
{% set taken = (placement_rules('slot') | list) + (placement_rules('pin') | list) %}
{% set taken = taken | selectattr('placement', 'equalto', slot['placement']) | map(attribute='target') | list %}
union all
select {{ text_literals([slot['placement']]) }}, judged_visitor_id, min(item_id)
from (
    select item.*, coalesce(({{ slot['definition'] }}
    ), false) as fits_slot
    from ({{ list_rows_with_rule_columns(slot['placement']) }}) as item
)
semi join {{ ref('placement_lists') }} as lists
    on judged_visitor_id = lists.visitor_id and lists.missing = 0
        and lists.placement = {{ text_literals([slot['placement']]) }}
group by judged_visitor_id
having
    not bool_or(fits_slot) filter (where judged_rank = {{ slot['target'] }})
    and bool_or(fits_slot and judged_rank not in ({{ taken | join(', ') }}))
{% endfor %}
