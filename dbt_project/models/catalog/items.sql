{{ config(materialized='view') }}

select item_id, title, brand, category, description, price, available, attributes, attributes_hash, updated_at
from {{ ref('stg_items') }}
