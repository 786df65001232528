{#
A build bound is a number or time that limits what one build of a model reads. A pre-hook works it out, from what the
model already holds, and keeps it in a DuckDB session variable. The planner then sees a constant and skips the blocks of
a table that the bound rules out; a comparison with a subquery would read every block. Who sets which bound, and who
reads it: _macros.yml.
#}

{# For a pre-hook: keep the result of `query`, one row of one column, under `name`. The variable outlives the model on
   its connection, so each name is set by one model alone. #}
{% macro set_build_bound(name, query) -%}
    {{ return(adapter.dispatch('set_build_bound', 'nextmart')(name, query)) }}
{%- endmacro %}

{% macro default__set_build_bound(name, query) -%}
    set variable {{ name }} = ({{ query }})
{%- endmacro %}

{# The bound that was set under `name`, or `otherwise` where no pre-hook has run: in a view that somebody queries, and
   in a unit test. #}
{% macro build_bound(name, otherwise) -%}
    {{ return(adapter.dispatch('build_bound', 'nextmart')(name, otherwise)) }}
{%- endmacro %}

{% macro default__build_bound(name, otherwise) -%}
    coalesce(getvariable('{{ name }}'), {{ otherwise }})
{%- endmacro %}

{# Query for the newest build whose rows `this` holds, 0 before the first. `column` is batch_id or assigned_batch_id. #}
{% macro newest_build(column) -%}
    {% if is_incremental() %}select coalesce(max({{ column }}), 0) from {{ this }}{% else %}select 0{% endif %}
{%- endmacro %}
