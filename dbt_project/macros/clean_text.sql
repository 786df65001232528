{# Text as people read it: no HTML references, soft hyphens, control characters or white space but single blanks;
   NFC. Blank text is null. Another rule needs another cleaning_version. #}
{% macro clean_text(column) -%}
    {{ return(adapter.dispatch('clean_text', 'nextmart')(column)) }}
{%- endmacro %}

{% macro default__clean_text(column) -%}
    nullif(trim(regexp_replace(nfc_normalize(replace(
        -- a Python function (jobs/sql_functions.py), so only for texts that need it
        case when contains({{ column }}, '&') then unescape_html({{ column }}) else {{ column }} end,
        chr(173), '')), '[\s\p{Z}\p{Cc}\x{200B}\x{2060}\x{FEFF}]+', ' ', 'g')), '')
{%- endmacro %}

{% macro cleaning_version() -%} 1 {%- endmacro %}
