-- This model is a view: when `nextmart publish` reads it, it compares the new lists with those that are live then.
{{ config(materialized='view') }}

with new_list_rows as (
    select 'default' as placement, visitor_id, rank, item_id, arm, model_version
    from {{ ref('visitor_recommendations') }}
    union all
    select placement, visitor_id, rank, item_id, arm, model_version
    from {{ ref('placement_recommendations') }}
),

new_lists as (
    select
        placement,
        visitor_id,
        {{ ordered_list('item_id', 'rank') }} as items,
        min(arm) as arm,
        min(model_version) as model_version
    from new_list_rows
    group by placement, visitor_id
),

live_lists as (
    select placement, visitor_id, {{ ordered_list('item_id', 'rank') }} as items
    from {{ source('ml', 'published_lists') }}
    where live_until is null
    group by placement, visitor_id
)

select
    placement || ':' || visitor_id as record_id,
    placement,
    visitor_id,
    case when live_lists.items is null then 'new' when new_lists.items is null then 'gone' else 'changed' end as change,
    live_lists.items as old_items,
    new_lists.items as new_items,
    new_lists.arm,
    new_lists.model_version,
    null::timestamptz as changed_at
from new_lists
full join live_lists using (placement, visitor_id)
where new_lists.items is distinct from live_lists.items
