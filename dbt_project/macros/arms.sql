{# The arms of visitors ([arms] in nextmart.toml). The jobs use the macro visitor_arm too. #}

{# SQL of a visitor's arm, control or model. A visitor is in the control if the first eight hexadecimal digits of the
   MD5 of salt and visitor_id are less than those of the control's share. They are compared as texts, which every
   database does alike. `control` is the share, a number from 0 to 0.9. #}
{% macro visitor_arm(visitor_id, control, salt) -%}
    case
        when left(md5({{ text_list([salt ~ ':']) }} || {{ visitor_id }}), 8) < '{{ '%08x' % (control * 4294967296) | int }}'
            then 'control'
        else 'model'
    end
{%- endmacro %}

{# The settings `control` (the share of the control) and `salt` of the run that made the newest lists; without [arms],
   control is 0. #}
{% macro arms_of_newest_run() -%}
    {%- set found = [] -%}
    {%- if execute -%}
        {%- set found = run_query(
            "select cast(detail ->> '$.arms.control' as double) as control, detail ->> '$.arms.salt' as salt from "
            ~ source('ml', 'job_runs') ~ " where job = 'recommend' and status in ('done', 'unchanged') "
            ~ "order by run_number desc nulls last, started_at desc, run_id desc limit 1"
        ).rows -%}
    {%- endif -%}
    {%- if found and found[0]['control'] is not none -%}
        {{ return({'control': found[0]['control'] | float, 'salt': found[0]['salt']}) }}
    {%- endif -%}
    {{ return({'control': 0, 'salt': ''}) }}
{%- endmacro %}

{# Query with a row for each published list: its placement, visitor_id and arm. #}
{% macro published_arms() -%}
    select distinct 'default' as placement, visitor_id, arm from {{ ref('visitor_recommendations') }}
    union all
    select distinct placement, visitor_id, arm from {{ ref('placement_recommendations') }}
{%- endmacro %}
