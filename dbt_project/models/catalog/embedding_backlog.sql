{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key='item_id',
    post_hook="delete from {{ this }} where seen_at <> '{{ run_started_at }}'::timestamptz"
) }}

select
    texts.item_id,
    texts.text_hash,
    {{ text_literals([var('embedding_model')]) }} as embedding_model,
    {{ embedding_dimensions() }} as dimensions,
    coalesce(vectors.status, 'missing') as status,
    vectors.error,
    older_vectors.item_id is not null as has_older_vector,
    -- an item keeps its missing_since as long as its text and the embedding model stay the same
    {% if is_incremental() -%}
    coalesce(waiting_items.missing_since, '{{ run_started_at }}'::timestamptz) as missing_since,
    {%- else -%}
    '{{ run_started_at }}'::timestamptz as missing_since,
    {%- endif %}
    '{{ run_started_at }}'::timestamptz as seen_at
from {{ ref('item_texts') }} as texts
left join {{ source('ml', 'embeddings') }} as vectors
    on texts.text_hash = vectors.text_hash and {{ is_active_embedding('vectors') }}
left join {{ ref('item_embedding_keys') }} as older_vectors
    on texts.item_id = older_vectors.item_id and {{ is_active_embedding('older_vectors') }}
{% if is_incremental() -%}
left join {{ this }} as waiting_items
    on
        texts.item_id = waiting_items.item_id and texts.text_hash = waiting_items.text_hash
        and {{ is_active_embedding('waiting_items') }}
{% endif -%}
where texts.text_status <> 'empty' and vectors.embedding is null
