{% set template_parts = var('item_text_template') %}
{% if template_parts is string or not template_parts %}
{% do exceptions.raise_compiler_error("item_text_template is a list of parts, such as ['{title}', 'by {brand}']") %}
{% endif %}
{% set part_expressions = [] %}
{% for template_part in template_parts %}{% do part_expressions.append(item_text_part(template_part)) %}{% endfor %}
{% set cut_conditions = ['false'] %}
{% for field in ['title', 'brand', 'category', 'description'] if '{' ~ field ~ '}' in template_parts | join %}
{% do cut_conditions.append('coalesce(' ~ reaches_text_limit(field) ~ ', false)') %}
{% endfor %}

with rendered_texts as (
    -- a part of the template is null for an item that lacks a field of the part; concat_ws leaves nulls out
    select
        item_id,
        concat_ws('. ', {{ part_expressions | join(', ') }}) as text,
        {{ length_prefixed_hash(part_expressions) }} as text_hash,
        {{ cut_conditions | join(' or ') }} as is_cut
    from {{ ref('items') }}
)

select
    item_id,
    text,
    text_hash,
    case
        when text = '' then 'empty'
        when is_cut then 'cut'
        else 'ok'
    end as text_status,
    {{ text_literals([template_parts | string ~ ' cleaning ' ~ cleaning_version()]) }} as template_version
from rendered_texts
