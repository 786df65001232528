-- depends_on: {{ ref('recommend_items') }}

select
    pairs.item_id,
    pairs.rank,
    pairs.similar_item_id,
    items.title,
    others.title as similar_title,
    pairs.score,
    pairs.embedding_model
from {{ source('ml', 'similar_items') }} as pairs
inner join {{ ref('items') }} as items on pairs.item_id = items.item_id
inner join {{ ref('items') }} as others on pairs.similar_item_id = others.item_id
where pairs.embedding_model = '{{ var("embedding_model") }}'
order by pairs.item_id, pairs.rank
