{# Macros for dbt's tests of the lists of placements; the job place stores the rules of the lists in
   ml.placement_rules. #}

{# Rows of ml.placement_rules with one kind of rule, such as max_per; a row has placement, target and definition. #}
{% macro placement_rules(rule_kind) -%}
    {%- if execute -%}
        {{ return(run_query(
            "select placement, target, definition from " ~ source('ml', 'placement_rules')
            ~ " where rule = '" ~ rule_kind ~ "' order by all"
        ).rows) }}
    {%- endif -%}
    {{ return([]) }}
{%- endmacro %}

{# The definitions of a placement's rules of one kind. #}
{% macro rule_definitions(placement, rule_kind) -%}
    {%- set rules = placement_rules(rule_kind) | selectattr('placement', 'equalto', placement) -%}
    {{ return(rules | map(attribute='definition') | list) }}
{%- endmacro %}

{# The ranks, as texts, that a placement's rules of one kind name: slot or pin. #}
{% macro ranks_with_rule(placement, rule_kind) -%}
    {%- set rules = placement_rules(rule_kind) | selectattr('placement', 'equalto', placement) -%}
    {{ return(rules | map(attribute='target') | list) }}
{%- endmacro %}

{# Query that has, for each row of a placement's lists, all columns that a rule over items may name: the columns of
   the item, and those of the visitor as the struct `visitor`. `judged_visitor_id` and `judged_rank` tell which row
   it is, `judged_score` and `judged_source` what it says. #}
{% macro list_rows_with_rule_columns(placement) -%}
    select
        item.*, visitors.visitor, recommended.visitor_id as judged_visitor_id, recommended.rank as judged_rank,
        recommended.score as judged_score, recommended.source as judged_source
    from {{ ref('placement_recommendations') }} as recommended
    inner join ({{ placement_rules('items_query')[0]['definition'] }}) as item on recommended.item_id = item.item_id
    left join (
        select visitor, visitor.visitor_id as id from ({{ placement_rules('visitors_query')[0]['definition'] }}) as visitor
    ) as visitors on recommended.visitor_id = visitors.id
    where recommended.placement = {{ text_literals([placement]) }}
{%- endmacro %}

{# Query of the visitors of at most `list_count` lists of a placement, full ones or short ones: those that come first
   by a hash, so that they are not all alike. For tests whose cost grows with lists times items. #}
{% macro visitors_of_sampled_lists(placement, is_full, list_count) -%}
    select visitor_id from {{ ref('placement_lists') }}
    where placement = {{ text_literals([placement]) }} and missing {{ '=' if is_full else '>' }} 0
    order by md5(visitor_id)
    limit {{ list_count }}
{%- endmacro %}

{# Query without rows, with which a dbt test passes if no placement has the rule that the test checks. #}
{% macro empty_result() -%}
    select null::varchar as placement, null::varchar as visitor_id, null::varchar as item_id where false
{%- endmacro %}
