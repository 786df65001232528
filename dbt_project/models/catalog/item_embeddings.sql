{{ config(materialized='view') }}

select
    keys.item_id,
    vectors.embedding_model,
    vectors.dimensions,
    vectors.text_hash,
    {{ as_embedding_array('vectors.embedding') }} as embedding,
    vectors.created_at as embedded_at,
    -- is_current is false as long as the item's present text has no vector, and the row has the vector of an older text
    vectors.text_hash = texts.text_hash as is_current
from {{ ref('item_embedding_keys') }} as keys
inner join {{ ref('item_texts') }} as texts on keys.item_id = texts.item_id
inner join {{ source('ml', 'embeddings') }} as vectors
    on
        keys.embedding_model = vectors.embedding_model
        and keys.dimensions = vectors.dimensions
        and keys.text_hash = vectors.text_hash
where {{ is_active_embedding('keys') }}
