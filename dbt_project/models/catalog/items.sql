{{ config(materialized='view') }}

select item_id, title, brand, category, description, price, available, updated_at
from {{ ref('stg_items') }}
