-- depends_on: {{ ref('place_items') }}

select
    placement,
    visitor_id,
    k,
    length,
    k - length as missing,
    model_version,
    generated_at
from {{ source('ml', 'placement_lists') }}
order by placement, visitor_id
