{{ config(materialized='view') }}

select
    impression_id,
    visitor_id,
    placement,
    item_id,
    rank,
    shown_at,
    propensity,
    loaded_at
from {{ ref('int_impressions_typed') }}
where reject_reason is null
qualify row_number() over (partition by impression_id order by {{ impression_arrival_sort_keys() }}) = 1
