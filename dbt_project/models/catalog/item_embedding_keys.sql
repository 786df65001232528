{{ config(
    alias='item_vectors',
    materialized='incremental', incremental_strategy='delete+insert',
    unique_key=['item_id', 'embedding_model', 'dimensions'], full_refresh=false,
    post_hook="delete from {{ this }} where item_id in (
        select item_id from {{ ref('item_texts') }} where text_status = 'empty'
    )"
) }}
-- depends_on: {{ ref('embed_items') }}

-- Each item's text_hash, which is the key of the item's vector in ml.embeddings. An item keeps the key of its older
-- text until the new text has a vector. Only this table knows which older text an item had, so a full refresh doesn't
-- build it anew. In the warehouse it keeps the name catalog.item_vectors, which users query; under another name dbt
-- would make a new table without the older keys.
select
    texts.item_id,
    vectors.embedding_model,
    vectors.dimensions,
    vectors.text_hash
from {{ ref('item_texts') }} as texts
inner join {{ source('ml', 'embeddings') }} as vectors on texts.text_hash = vectors.text_hash
{% if is_incremental() -%}
anti join {{ this }} as known_keys
    on
        texts.item_id = known_keys.item_id and vectors.embedding_model = known_keys.embedding_model
        and vectors.dimensions = known_keys.dimensions and vectors.text_hash = known_keys.text_hash
{% endif -%}
where {{ is_active_embedding('vectors') }} and vectors.embedding is not null
