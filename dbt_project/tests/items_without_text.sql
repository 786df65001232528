{{ config(severity='warn') }}
-- an item without any words is recommended for its clicks alone: the embedding models can't see it
select item_id
from {{ ref('item_texts') }}
where text_status = 'empty'
