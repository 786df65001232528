{# Text as people read it, in Unicode NFC. HTML's character references become the characters that they stand for; soft
   hyphens are removed; each run of white space and control characters becomes one blank. Blank text becomes null.
   Whoever changes this rule must raise cleaning_version. #}
{% macro clean_text(column) -%}
    {{ return(adapter.dispatch('clean_text', 'nextmart')(column)) }}
{%- endmacro %}

{% macro default__clean_text(column) -%}
    nullif(trim(regexp_replace(nfc_normalize(replace(
        -- unescape_html is a slow Python function of the jobs, so it is called only for texts that contain an ampersand
        case when contains({{ column }}, '&') then unescape_html({{ column }}) else {{ column }} end,
        chr(173), '')), '[\s\p{Z}\p{Cc}\x{200B}\x{2060}\x{FEFF}]+', ' ', 'g')), '')
{%- endmacro %}

{% macro cleaning_version() -%} 1 {%- endmacro %}
