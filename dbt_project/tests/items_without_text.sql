{{ config(severity='warn') }}
-- embedding models know nothing of an item without text: it can be recommended only for its clicks
select item_id
from {{ ref('item_texts') }}
where text_status = 'empty'
