-- In each full list of a placement, a pinned item stands at its rank, or is not in the list. The item at the rank of a
-- slot fulfils the slot's condition, or else none of the items outside pins and slots does.
-- depends_on: {{ ref('placement_recommendations') }}
-- depends_on: {{ ref('placement_lists') }}
{{ empty_result() }}
{% for pin in placement_rules('pin') %}
union all
select list_rows.placement, list_rows.visitor_id, list_rows.item_id
from {{ ref('placement_recommendations') }} as list_rows
semi join {{ ref('placement_lists') }} as lists
    on list_rows.placement = lists.placement and list_rows.visitor_id = lists.visitor_id and lists.missing = 0
where
    list_rows.placement = {{ text_literals([pin['placement']]) }}
    and list_rows.item_id = {{ text_literals([pin['definition']]) }} and list_rows.rank <> {{ pin['target'] }}
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
