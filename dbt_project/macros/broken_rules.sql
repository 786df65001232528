{# Macros of the test valid_rows. The queries that they return have one row for each broken rule. #}

{# The rules that single rows break. `violations` has for each rule the condition that a row breaks it. #}
{% macro rules_broken_by_rows(model, violations) -%}
select broken_rule, count(*) as broken_by, any_value(example) as example
from (
    select
        left(row_of_table::varchar, 200) as example,
        unnest([
            {%- for rule, condition in violations.items() %}
            case when {{ condition }} then {{ text_literals([rule]) }} end{{ ',' if not loop.last }}
            {%- endfor %}
        ]) as broken_rule
    from {{ model }} as row_of_table
    where {{ violations.values() | join(' or ') }}
)
where broken_rule is not null
group by broken_rule
{%- endmacro %}

{# A rule that groups of rows break: the rows for which `where` is true, grouped by `columns`. `condition`, an aggregate,
   says that a group breaks the rule. #}
{% macro rule_broken_by_groups(model, rule, columns, condition, where='true') -%}
select {{ text_literals([rule]) }} as broken_rule, count(*) as broken_by, any_value(example) as example
from (
    select {{ "concat_ws(', ', " ~ columns | join(', ') ~ ')' if columns else 'null' }} as example
    from {{ model }}
    where {{ where }}
    {%- if columns %}
    group by {{ columns | join(', ') }}
    {%- endif %}
    having {{ condition }}
)
having count(*) > 0
{%- endmacro %}

{# Whether a row has a key that came with one of the newest seven builds. Only these keys are looked for in all rows,
   because only a new row can repeat a key. They are seven builds, because earlier builds may have been interrupted
   before their tests. After a full refresh all rows are new, so that all are compared; at five million rows, this takes
   ten times as long. (If item_id is part of the dbt var `event_identity`, event_id may repeat, but not with the same
   item_id: then the key is both.) #}
{% macro has_key_of_new_build(model, key, build_column) -%}
{{ key }} in (
        select {{ key }} from {{ model }}
        where {{ build_column }} > (select max({{ build_column }}) - 7 from {{ model }})
    )
{%- endmacro %}
