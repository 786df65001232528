-- vectors of two models don't compare: what serves is made with one, the model that is set
select 'recommendations' as what, models.embedding_model
from {{ source('ml', 'models') }} as models
semi join {{ ref('visitor_recommendations') }} as served on models.model_version = served.model_version
where models.embedding_model <> {{ text_list([var('embedding_model')]) }}

union all

select distinct 'similar items' as what, embedding_model
from {{ ref('similar_items') }}
where embedding_model <> {{ text_list([var('embedding_model')]) }}

union all

select distinct 'item embeddings' as what, embedding_model
from {{ ref('item_embeddings') }}
where not ({{ of_the_embedding_model('item_embeddings') }})
