{# Macros for the arms of visitors ([arms] in nextmart.toml). The jobs use the macro visitor_arm too. #}

{# SQL of a visitor's arm, control or model. `control_share` is the share of visitors who are in the control, a number
   from 0 to 0.9. The first eight hexadecimal digits of the MD5 of salt and visitor_id are a number that is as good as
   random. A visitor is in the control if this number is less than `control_share` of the largest possible one. Both
   numbers are compared as texts of eight digits, which every database does alike. #}
{% macro visitor_arm(visitor_id, control_share, salt) -%}
    case
        when left(md5({{ text_literals([salt ~ ':']) }} || {{ visitor_id }}), 8) < '{{ '%08x' % (control_share * 4294967296) | int }}'
            then 'control'
        else 'model'
    end
{%- endmacro %}

{# The settings of [arms] with which the newest lists were made: control_share (the setting `control`) and salt. Without
   [arms], control_share is 0. #}
{% macro arm_settings_of_newest_run() -%}
    {%- set newest_run_rows = [] -%}
    {%- if execute -%}
        {%- set newest_run_rows = run_query(
            "select cast(detail ->> '$.arms.control' as double) as control_share, detail ->> '$.arms.salt' as salt from "
            ~ source('ml', 'job_runs') ~ " where job = 'recommend' and status in ('done', 'unchanged') "
            ~ "order by run_number desc nulls last, started_at desc, run_id desc limit 1"
        ).rows -%}
    {%- endif -%}
    {%- if newest_run_rows and newest_run_rows[0]['control_share'] is not none -%}
        {{ return({'control_share': newest_run_rows[0]['control_share'] | float, 'salt': newest_run_rows[0]['salt']}) }}
    {%- endif -%}
    {{ return({'control_share': 0, 'salt': ''}) }}
{%- endmacro %}

{# Query with a row for each published list: its placement, visitor_id and arm. #}
{% macro arms_of_published_lists() -%}
    select distinct 'default' as placement, visitor_id, arm from {{ ref('visitor_recommendations') }}
    union all
    select distinct placement, visitor_id, arm from {{ ref('placement_recommendations') }}
{%- endmacro %}
