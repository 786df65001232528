{# Text as people read it, in Unicode NFC. HTML's tags go, with scripts, styles and comments; HTML's character
   references become the characters that they stand for; UTF-8 that was read as another encoding is read anew. Soft
   hyphens are removed; each run of white space and control characters becomes one blank. Blank text becomes null. A
   longer text is cut after `max_text_characters` characters. Whoever changes this rule must raise cleaning_version. A
   text keeps its vector unless its cleaned form changes. #}
{% macro clean_text(column) -%}
    {{ return(adapter.dispatch('clean_text', 'nextmart')(column)) }}
{%- endmacro %}

{% macro default__clean_text(column) -%}
    {%- if var('max_text_characters') is not integer or var('max_text_characters') < 1 -%}
        {%- do exceptions.raise_compiler_error(
            "max_text_characters is a whole number from 1, not " ~ var('max_text_characters')) -%}
    {%- endif -%}
    nullif(left(trim(regexp_replace(nfc_normalize(replace(
        -- plain_text is a slow Python function of the jobs, so it is called only for texts that may need it
        case when {{ may_hold_html_or_wrong_encoding(column) }} then plain_text({{ column }}) else {{ column }} end,
        chr(173), '')), '[\s\p{Z}\p{Cc}\x{200B}\x{2060}\x{FEFF}]+', ' ', 'g')), {{ var('max_text_characters') }}), '')
{%- endmacro %}

{# Condition that a text may hold HTML, or UTF-8 that was read as another encoding. If a program reads UTF-8 as
   Windows-1252, Windows-1251 or Mac OS Roman, the two bytes of a letter become two characters, such as Ã¼ for ü; the
   condition looks for such pairs. #}
{% macro may_hold_html_or_wrong_encoding(column) -%}
    contains({{ column }}, '&') or contains({{ column }}, '<')
    or regexp_matches({{ column }}, '[\x{C2}-\x{F4}][\x{80}-\x{BF}ŒœŠšŸŽžƒˆ˜–—‘’‚“”„†‡•…‰‹›€™]|Ã |√[^\s0-9]|[├┬][^\s─-╿]'
        || '|[РС][\x{A0}-\x{BF}ЂЃѓЉЊЌЋЏђљњќћџЎўЈҐЁЄЇІіґёєјЅѕї‚„…†‡€‰‹‘’“”•–—™›№]')
{%- endmacro %}

{% macro cleaning_version() -%} 2 {%- endmacro %}

{# Condition that a cleaned text is as long as clean_text lets it be, so that its end is likely cut off. #}
{% macro reaches_text_limit(column) -%}
    length({{ column }}) >= {{ var('max_text_characters') }}
{%- endmacro %}
