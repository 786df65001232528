{{ config(materialized='view') }}

select visitor_id, attributes, attributes_hash, updated_at
from {{ ref('stg_visitors') }}
