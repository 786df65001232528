{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key='item_id',
    post_hook="delete from {{ this }} where seen_at < '{{ run_started_at }}'::timestamptz"
) }}

select
    texts.item_id,
    texts.text_hash,
    {{ text_list([var('embedding_model')]) }} as embedding_model,
    {{ embedding_dimensions() }} as dimensions,
    coalesce(vectors.status, 'missing') as status,
    vectors.error,
    older.item_id is not null as has_older_vector,
    -- a known row keeps its time as long as the item waits with the same text for a vector of the same model
    {% if is_incremental() -%}
    coalesce(known.missing_since, '{{ run_started_at }}'::timestamptz) as missing_since,
    {%- else -%}
    '{{ run_started_at }}'::timestamptz as missing_since,
    {%- endif %}
    '{{ run_started_at }}'::timestamptz as seen_at
from {{ ref('item_texts') }} as texts
left join {{ source('ml', 'embeddings') }} as vectors
    on texts.text_hash = vectors.text_hash and {{ is_active_embedding('vectors') }}
left join {{ ref('item_embedding_keys') }} as older
    on texts.item_id = older.item_id and {{ is_active_embedding('older') }}
{% if is_incremental() -%}
left join {{ this }} as known
    on
        texts.item_id = known.item_id and texts.text_hash = known.text_hash
        and {{ is_active_embedding('known') }}
{% endif -%}
where texts.text_status <> 'empty' and vectors.embedding is null
