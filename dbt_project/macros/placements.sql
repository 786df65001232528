{# What must be true of the lists of placements, from the rules in ml.placement_rules, which the job place keeps. #}

{# The rows of ml.placement_rules of one kind of rule: placement, target, definition. #}
{% macro placement_rules(rule) -%}
    {%- if execute -%}
        {{ return(run_query(
            "select placement, target, definition from " ~ source('ml', 'placement_rules')
            ~ " where rule = '" ~ rule ~ "' order by all"
        ).rows) }}
    {%- endif -%}
    {{ return([]) }}
{%- endmacro %}

{# Query of all that a rule over items may name, for each row of a placement's lists: the item's columns, the visitor's as
   the struct `visitor`, and the row's place as `judged_visitor_id` and `judged_rank`. #}
{% macro judged_rows(placement) -%}
    select item.*, visitors.visitor, recommended.visitor_id as judged_visitor_id, recommended.rank as judged_rank
    from {{ ref('placement_recommendations') }} as recommended
    inner join ({{ placement_rules('items_query')[0]['definition'] }}) as item on recommended.item_id = item.item_id
    left join (
        select visitor, visitor.visitor_id as id from ({{ placement_rules('visitors_query')[0]['definition'] }}) as visitor
    ) as visitors on recommended.visitor_id = visitors.id
    where recommended.placement = {{ text_list([placement]) }}
{%- endmacro %}

{# A query without rows, for tests of rules that no placement has. #}
{% macro no_rows() -%}
    select null::varchar as placement, null::varchar as visitor_id, null::varchar as item_id where false
{%- endmacro %}
