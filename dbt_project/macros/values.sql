{# Macros that read single values; times.sql, prices.sql and availability.sql have more of them. The jobs use these
   macros without dbt: they call default__<name> with the values of the dbt vars that the macro <name> reads. #}

{# Condition that text, without blanks around it, is one of the dbt var `null_words`. A function of a list, because
   DuckDB makes a join of each `in` with so many words, which costs twice as much. #}
{% macro is_null_word(column) -%}
    {{ return(adapter.dispatch('is_null_word', 'nextmart')(column, var('null_words'))) }}
{%- endmacro %}

{% macro default__is_null_word(column, words) -%}
    {%- if words is string or words is mapping -%}
        {%- do exceptions.raise_compiler_error("null_words is a list of texts, such as ['NULL', 'nan']") -%}
    {%- endif -%}
    {%- if words -%}
        coalesce(list_contains([{{ text_literals(words) }}], {{ blank_as_null(column) }}), false)
    {%- else -%}
        false
    {%- endif -%}
{%- endmacro %}

{# Text without blanks around it; null if nothing is left, or if the text is one of the dbt var `null_words`. #}
{% macro null_word_as_null(column) -%}
    {{ return(adapter.dispatch('null_word_as_null', 'nextmart')(column, var('null_words'))) }}
{%- endmacro %}

{% macro default__null_word_as_null(column, words) -%}
    case when not {{ default__is_null_word(column, words) }} then {{ blank_as_null(column) }} end
{%- endmacro %}

{# Text as a finite number; null if the text is no finite number. #}
{% macro try_number(column) -%}
    {{ return(adapter.dispatch('try_number', 'nextmart')(column)) }}
{%- endmacro %}

{% macro default__try_number(column) -%}
    case when isfinite(try_cast({{ column }} as double)) then try_cast({{ column }} as double) end
{%- endmacro %}
