-- This model is a table instead of a view, because many steps read it.
{{ config(materialized='table') }}

with newest_moment as (
    select max(moment) as moment
    from (
        select max(event_at) as moment from {{ ref('session_items') }}
        union all
        select max(live_from) as moment from {{ source('ml', 'published_lists') }}
    ) as moments
),

recent_lists as (
    -- A list that is no longer live is deleted after a while. So of early days only the lists that stayed live for long
    -- are left, and such days must not count: only the newest `outcome_days` days do
    select
        published.*,
        greatest(
            published.live_from,
            {{ start_of_day(day_of('newest_moment.moment') ~ ' - ' ~ var('outcome_days') ~ ' + 1') }}
        ) as counts_from
    from {{ source('ml', 'published_lists') }} as published
    cross join newest_moment
)

select
    lists.placement,
    lists.visitor_id,
    lists.rank,
    lists.item_id,
    lists.model,
    lists.model_version,
    lists.arm,
    lists.counts_from as live_from,
    lists.live_until
from recent_lists as lists
anti join {{ ref('bot_visitors') }} as bots on lists.visitor_id = bots.visitor_id
where lists.live_until is null or lists.counts_from < lists.live_until
