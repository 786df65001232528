{% set fields = var('item_text_fields') %}

with written as (
    select
        item_id,
        {% for field in fields %}{{ field }},{% endfor %}
        -- what is missing leaves no mark
        concat_ws('. ', {{ fields | join(', ') }}) as text
    from {{ ref('items') }}
)

select
    item_id,
    text,
    {{ framed_hash(fields) }} as text_hash,
    '{{ fields | join('+') }}' as template_version
from written
