select
    row_number() over (order by popularity desc, item_id)::integer as rank,
    item_id,
    title,
    popularity as score
from {{ ref('public_items') }}
where available
