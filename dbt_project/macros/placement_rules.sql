{# Macros for the dbt tests of the lists of placements. The tests read the rules of the lists from ml.placement_rules,
   where the job place stores them. #}

{# The rules of all placements of one kind, such as max_per: rows of ml.placement_rules with the columns placement,
   target and definition. #}
{% macro placement_rules(rule_kind) -%}
    {%- if execute -%}
        {{ return(run_query(
            "select placement, target, definition from " ~ source('ml', 'placement_rules')
            ~ " where rule = '" ~ rule_kind ~ "' order by all"
        ).rows) }}
    {%- endif -%}
    {{ return([]) }}
{%- endmacro %}

{# The column definition of a placement's rules of one kind, as a list. #}
{% macro rule_definitions(placement, rule_kind) -%}
    {%- set rules = placement_rules(rule_kind) | selectattr('placement', 'equalto', placement) -%}
    {{ return(rules | map(attribute='definition') | list) }}
{%- endmacro %}

{# The ranks for which a placement has a rule of the kind slot or pin, as a list of texts. #}
{% macro ranks_with_rule(placement, rule_kind) -%}
    {%- set rules = placement_rules(rule_kind) | selectattr('placement', 'equalto', placement) -%}
    {{ return(rules | map(attribute='target') | list) }}
{%- endmacro %}

{# Query for the rows of a placement's lists, with all columns that a rule over items may name: the columns of the
   row's item, and those of its visitor as the struct `visitor`. The columns that begin with judged_ are the row's own:
   visitor_id, rank, score and source. #}
{% macro list_rows_with_rule_columns(placement) -%}
    select
        item.*, visitors.visitor, list_rows.visitor_id as judged_visitor_id, list_rows.rank as judged_rank,
        list_rows.score as judged_score, list_rows.source as judged_source
    from {{ ref('placement_recommendations') }} as list_rows
    inner join ({{ placement_rules('items_query')[0]['definition'] }}) as item on list_rows.item_id = item.item_id
    left join (
        select visitor, visitor.visitor_id as id from ({{ placement_rules('visitors_query')[0]['definition'] }}) as visitor
    ) as visitors on list_rows.visitor_id = visitors.id
    where list_rows.placement = {{ text_literals([placement]) }}
{%- endmacro %}

{# Query for the visitors of at most `list_count` lists of a placement, drawn by a hash: full lists if `is_full` is
   true, else lists that lack items. Tests whose cost grows with lists times items read only these lists. #}
{% macro visitors_of_sampled_lists(placement, is_full, list_count) -%}
    select visitor_id from {{ ref('placement_lists') }}
    where placement = {{ text_literals([placement]) }} and missing {{ '=' if is_full else '>' }} 0
    order by md5(visitor_id)
    limit {{ list_count }}
{%- endmacro %}

{# Query without rows, to which a dbt test adds the faults that it finds. It lets the test pass if no placement has the
   rule that the test checks. #}
{% macro empty_result() -%}
    select null::varchar as placement, null::varchar as visitor_id, null::varchar as item_id where false
{%- endmacro %}
