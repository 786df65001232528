{{ config(severity='warn') }}
-- an item without text has no embedding, so it can be recommended only because of the events on it
select item_id
from {{ ref('item_texts') }}
where text_status = 'empty'
