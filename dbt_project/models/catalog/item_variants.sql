-- This model is a view, because the job place finds variants after the other tables of the catalogue are built.
{{ config(materialized='view') }}
-- depends_on: {{ ref('place_items') }}

select item_id, variant_group
from {{ source('ml', 'item_variants') }}
