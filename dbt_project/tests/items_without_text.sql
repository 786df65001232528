{{ config(severity='warn') }}
-- Items without a text. They have no embedding, so they can be recommended only because of the events on them.
select item_id
from {{ ref('item_texts') }}
where text_status = 'empty'
