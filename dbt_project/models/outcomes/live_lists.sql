-- This model is a table instead of a view, because many steps read it.
{{ config(materialized='table') }}

with newest_event_or_publication_time as (
    select max(newest_at) as newest_at
    from (
        select max(event_at) as newest_at from {{ ref('session_items') }}
        union all
        select max(live_from) as newest_at from {{ source('ml', 'published_lists') }}
    ) as newest_times
),

recent_lists as (
    -- Only the newest `outcome_days` days count. Lists that are no longer live are deleted after a while, so that
    -- earlier days have only those lists left that stayed live for long
    select
        published_lists.*,
        greatest(
            published_lists.live_from,
            {{ start_of_day(
                day_of('newest_event_or_publication_time.newest_at') ~ ' - ' ~ var('outcome_days') ~ ' + 1'
            ) }}
        ) as first_counted_at
    from {{ source('ml', 'published_lists') }} as published_lists
    cross join newest_event_or_publication_time
)

select
    lists.placement,
    lists.visitor_id,
    lists.rank,
    lists.item_id,
    lists.model,
    lists.model_version,
    lists.arm,
    lists.first_counted_at as live_from,
    lists.live_until
from recent_lists as lists
anti join {{ ref('bot_visitors') }} as bots on lists.visitor_id = bots.visitor_id
where lists.live_until is null or lists.first_counted_at < lists.live_until
