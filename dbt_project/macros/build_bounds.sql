{#
A build bound is a number or time that limits the rows which one build of a model reads. A pre-hook computes it, mostly
from the rows that the model already holds, and keeps it in a DuckDB session variable. The query planner then sees a
constant and skips the blocks of a table that the bound rules out; a comparison with a subquery would read every block.
_macros.yml lists which model sets each bound, and which reads it.
#}

{# Statement for a pre-hook: it stores the result of `query`, one row of one column, in the session variable `name`. The
   variable stays on the connection after the model's build. Therefore each name is set by one model alone. #}
{% macro set_build_bound(name, query) -%}
    {{ return(adapter.dispatch('set_build_bound', 'nextmart')(name, query)) }}
{%- endmacro %}

{% macro default__set_build_bound(name, query) -%}
    set variable {{ name }} = ({{ query }})
{%- endmacro %}

{# SQL expression for the build bound `name`, or for `default_sql` if no pre-hook has set the bound: when somebody
   queries a view, and in a unit test. #}
{% macro build_bound(name, default_sql) -%}
    {{ return(adapter.dispatch('build_bound', 'nextmart')(name, default_sql)) }}
{%- endmacro %}

{% macro default__build_bound(name, default_sql) -%}
    coalesce(getvariable('{{ name }}'), {{ default_sql }})
{%- endmacro %}

{# Query for the number of the newest build whose rows the model `this` holds, 0 before the first build. `column` is
   batch_id or assigned_batch_id. #}
{% macro newest_build_number(column) -%}
    {% if is_incremental() %}select coalesce(max({{ column }}), 0) from {{ this }}{% else %}select 0{% endif %}
{%- endmacro %}
