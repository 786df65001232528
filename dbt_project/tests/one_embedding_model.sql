-- All tables that users see are made with the embedding model that the dbt var `embedding_model` names, because vectors
-- of two embedding models can't be compared.
select 'recommendations' as shown_in, models.embedding_model
from {{ source('ml', 'models') }} as models
semi join {{ ref('visitor_recommendations') }} as list_rows on models.model_version = list_rows.model_version
where models.embedding_model <> {{ text_literals([var('embedding_model')]) }}

union all

select distinct 'similar items' as shown_in, embedding_model
from {{ ref('similar_items') }}
where embedding_model <> {{ text_literals([var('embedding_model')]) }}

union all

select distinct 'item embeddings' as shown_in, embedding_model
from {{ ref('item_embeddings') }}
where not ({{ is_active_embedding('item_embeddings') }})
