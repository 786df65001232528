{# Text as people read it, in Unicode NFC. HTML's character references are replaced; soft hyphens go; control characters
   and every run of white space become one blank. Blank text is null. A change of this rule needs another
   cleaning_version. #}
{% macro clean_text(column) -%}
    {{ return(adapter.dispatch('clean_text', 'nextmart')(column)) }}
{%- endmacro %}

{% macro default__clean_text(column) -%}
    nullif(trim(regexp_replace(nfc_normalize(replace(
        -- unescape_html is a slow Python function of the jobs, so only texts that may need it go through it
        case when contains({{ column }}, '&') then unescape_html({{ column }}) else {{ column }} end,
        chr(173), '')), '[\s\p{Z}\p{Cc}\x{200B}\x{2060}\x{FEFF}]+', ' ', 'g')), '')
{%- endmacro %}

{% macro cleaning_version() -%} 1 {%- endmacro %}
