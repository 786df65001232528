{# The arms of visitors ([arms] in nextmart.toml). The jobs use the macro visitor_arm too. #}

{# The arm of a visitor, control or model. The first eight digits of the MD5 of salt and visitor are compared with those of
   the share as texts, which every database does alike. `control` is a number from 0 to 0.9. #}
{% macro visitor_arm(visitor_id, control, salt) -%}
    case
        when left(md5({{ text_list([salt ~ ':']) }} || {{ visitor_id }}), 8) < '{{ '%08x' % (control * 4294967296) | int }}'
            then 'control'
        else 'model'
    end
{%- endmacro %}

{# The settings by which the newest lists were made: control, the share, and salt. Without [arms], control is 0. #}
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

{# Query of the visitors of each placement with a published list: placement, visitor_id and arm. #}
{% macro published_arms() -%}
    select distinct 'default' as placement, visitor_id, arm from {{ ref('visitor_recommendations') }}
    union all
    select distinct placement, visitor_id, arm from {{ ref('placement_recommendations') }}
{%- endmacro %}
