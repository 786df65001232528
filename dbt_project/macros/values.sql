{# Macros that read single values; times.sql, prices.sql and availability.sql have more of them. The jobs use these
   macros without dbt: they call default__<name> with the values of the dbt vars that the macro <name> reads. #}

{# Condition that a text, without the blanks around it, is one of the dbt var `null_words`. It is written with
   list_contains, because DuckDB turns an IN of so many words into a join, which takes twice as long. #}
{% macro is_null_word(column) -%}
    {{ return(adapter.dispatch('is_null_word', 'nextmart')(column, var('null_words'))) }}
{%- endmacro %}

{% macro default__is_null_word(column, null_words) -%}
    {%- if null_words is string or null_words is mapping -%}
        {%- do exceptions.raise_compiler_error("null_words is a list of texts, such as ['NULL', 'nan']") -%}
    {%- endif -%}
    {%- if null_words -%}
        coalesce(list_contains([{{ text_literals(null_words) }}], {{ blank_as_null(column) }}), false)
    {%- else -%}
        false
    {%- endif -%}
{%- endmacro %}

{# A text without the blanks around it; null if nothing is left, or if it is one of the dbt var `null_words`. #}
{% macro null_word_as_null(column) -%}
    {{ return(adapter.dispatch('null_word_as_null', 'nextmart')(column, var('null_words'))) }}
{%- endmacro %}

{% macro default__null_word_as_null(column, null_words) -%}
    case when not {{ default__is_null_word(column, null_words) }} then {{ blank_as_null(column) }} end
{%- endmacro %}

{# The number that a text states; null if the text is no number, NaN or infinite. #}
{% macro try_number(column) -%}
    {{ return(adapter.dispatch('try_number', 'nextmart')(column)) }}
{%- endmacro %}

{% macro default__try_number(column) -%}
    case when isfinite(try_cast({{ column }} as double)) then try_cast({{ column }} as double) end
{%- endmacro %}
