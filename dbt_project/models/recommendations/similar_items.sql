-- depends_on: {{ ref('recommend_items') }}

select
    similar_pairs.item_id,
    similar_pairs.rank,
    similar_pairs.similar_item_id,
    items.title,
    neighbours.title as similar_title,
    similar_pairs.score,
    similar_pairs.embedding_model
from {{ source('ml', 'similar_items') }} as similar_pairs
inner join {{ ref('items') }} as items on similar_pairs.item_id = items.item_id
inner join {{ ref('items') }} as neighbours on similar_pairs.similar_item_id = neighbours.item_id
where similar_pairs.embedding_model = '{{ var("embedding_model") }}'
order by similar_pairs.item_id, similar_pairs.rank
