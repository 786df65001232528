{% set template = var('item_text_template') %}
{% if template is string or not template %}
{% do exceptions.raise_compiler_error("item_text_template is a list of parts, such as ['{title}', 'by {brand}']") %}
{% endif %}
{% set parts = [] %}
{% for part in template %}{% do parts.append(item_text_part(part)) %}{% endfor %}
{% set cut_fields = ['false'] %}
{% for field in ['title', 'brand', 'category', 'description'] if '{' ~ field ~ '}' in template | join %}
{% do cut_fields.append('coalesce(' ~ reaches_text_limit(field) ~ ', false)') %}
{% endfor %}

with rendered_texts as (
    -- a part of the template is null for an item that lacks a field of the part, and concat_ws leaves the part out
    select
        item_id,
        concat_ws('. ', {{ parts | join(', ') }}) as text,
        {{ length_prefixed_hash(parts) }} as text_hash,
        {{ cut_fields | join(' or ') }} as is_cut
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
    {{ text_literals([template | string ~ ' cleaning ' ~ cleaning_version()]) }} as template_version
from rendered_texts
