{#
A bound of the present build, worked out in a pre-hook from what the model already holds. The planner sees it as a
constant and skips the blocks of a table that it rules out: a comparison with a subquery would read them all. A name
belongs to one model: it outlives the model on its connection.
#}

{% macro remember(name, query) -%}
    {{ return(adapter.dispatch('remember', 'nextmart')(name, query)) }}
{%- endmacro %}

{% macro default__remember(name, query) -%}
    set variable {{ name }} = ({{ query }})
{%- endmacro %}

{# `otherwise` holds where no hook has run: in a view that somebody queries, in a unit test. #}
{% macro remembered(name, otherwise) -%}
    {{ return(adapter.dispatch('remembered', 'nextmart')(name, otherwise)) }}
{%- endmacro %}

{% macro default__remembered(name, otherwise) -%}
    coalesce(getvariable('{{ name }}'), {{ otherwise }})
{%- endmacro %}

{# The newest build that `this` has taken in; `column` is batch_id or assigned_batch_id. #}
{% macro newest_build(column) -%}
    {% if is_incremental() %}select coalesce(max({{ column }}), 0) from {{ this }}{% else %}select 0{% endif %}
{%- endmacro %}
