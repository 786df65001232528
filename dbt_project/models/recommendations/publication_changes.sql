-- This model is a view, so that it shows a publication at once: `nextmart publish` adds the row after dbt has built.
{{ config(materialized='view') }}

select
    publication_number,
    decided_at,
    publish_run_id,
    outcome,
    reason,
    live_run_id,
    model_version,
    live_model_version,
    visitors,
    live_visitors,
    new_visitors,
    gone_visitors,
    changed_visitor_share,
    mean_list_overlap,
    list_rows,
    live_list_rows,
    items,
    live_items,
    new_items,
    gone_items,
    similar_item_rows,
    live_similar_item_rows,
    popularity,
    live_popularity,
    mean_score,
    live_mean_score
from {{ source('ml', 'publication_changes') }}
