{{ config(materialized='view') }}
-- depends_on: {{ ref('embed_items') }}

select
    texts.item_id,
    vectors.embedding_model,
    vectors.dimensions,
    vectors.text_hash,
    {{ embedding_array('vectors.embedding') }} as embedding,
    vectors.created_at as embedded_at
from {{ ref('item_texts') }} as texts
inner join {{ source('ml', 'embeddings') }} as vectors on texts.text_hash = vectors.text_hash
where
    vectors.embedding_model = '{{ var("embedding_model") }}'
    and vectors.dimensions = {{ var('embedding_dimensions') }}
    and vectors.status = 'ok'
