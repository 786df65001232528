{# One part of the var `item_text_template`, such as "by {brand}", as an SQL expression. It is null for an item that
   lacks a field which the part names. Raises a compiler error if the part names no field or an unknown one. #}
{% macro item_text_part(template_part) -%}
    {%- set fields = ['title', 'brand', 'category', 'description'] -%}
    {%- set pieces = template_part.split('{') -%}
    {%- if pieces | length == 1 -%}
        {%- do exceptions.raise_compiler_error("item_text_template: the part '" ~ template_part ~ "' names no field") -%}
    {%- endif -%}
    {%- set terms = [text_literals(pieces[:1])] if pieces[0] else [] -%}
    {%- for piece in pieces[1:] -%}
        {%- set field, closing, words = piece.partition('}') -%}
        {%- if field not in fields or not closing -%}
            {%- do exceptions.raise_compiler_error(
                "item_text_template: '{" ~ field ~ closing ~ "' in the part '" ~ template_part ~ "' is no field; there are {"
                ~ fields | join('}, {') ~ '}'
            ) -%}
        {%- endif -%}
        {%- do terms.append(field) -%}
        {%- if words -%}{%- do terms.append(text_literals([words])) -%}{%- endif -%}
    {%- endfor -%}
    {{ terms | join(' || ') }}
{%- endmacro %}
