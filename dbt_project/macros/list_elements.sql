{# Macros for the elements of SQL lists: SQL that only DuckDB spells this way, as in dialect.sql. #}

{# SQL, for a select list, that makes a row of each element of a list. #}
{% macro unnested(list) -%}
    {{ return(adapter.dispatch('unnested', 'nextmart')(list)) }}
{%- endmacro %}

{% macro default__unnested(list) -%}
    unnest({{ list }})
{%- endmacro %}

{# SQL, for a select list, that makes a row for each element of a list: the element's position, which counts from 1. #}
{% macro unnested_positions(list) -%}
    {{ return(adapter.dispatch('unnested_positions', 'nextmart')(list)) }}
{%- endmacro %}

{% macro default__unnested_positions(list) -%}
    unnest(range(1, len({{ list }}) + 1))
{%- endmacro %}

{# The element of a list at a position, which counts from 1. #}
{% macro element_at(list, position) -%}
    {{ return(adapter.dispatch('element_at', 'nextmart')(list, position)) }}
{%- endmacro %}

{% macro default__element_at(list, position) -%}
    {{ list }}[{{ position }}]
{%- endmacro %}

{# The elements of a list from a position to the end of the list; positions count from 1. #}
{% macro elements_from(list, position) -%}
    {{ return(adapter.dispatch('elements_from', 'nextmart')(list, position)) }}
{%- endmacro %}

{% macro default__elements_from(list, position) -%}
    {{ list }}[{{ position }}:]
{%- endmacro %}
