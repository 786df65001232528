{{ config(materialized='view') }}

select
    items.item_id,
    vectors.embedding_model,
    vectors.dimensions,
    vectors.text_hash,
    {{ embedding_array('vectors.embedding') }} as embedding,
    vectors.created_at as embedded_at,
    -- false while a new text waits for its vector
    vectors.text_hash = texts.text_hash as is_current
from {{ ref('item_vectors') }} as items
inner join {{ ref('item_texts') }} as texts on items.item_id = texts.item_id
inner join {{ source('ml', 'embeddings') }} as vectors
    on
        items.embedding_model = vectors.embedding_model
        and items.dimensions = vectors.dimensions
        and items.text_hash = vectors.text_hash
where {{ of_the_embedding_model('items') }}
