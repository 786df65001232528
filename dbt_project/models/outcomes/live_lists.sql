-- A table, since many steps read it
{{ config(materialized='table') }}

with newest as (
    select max(moment) as moment
    from (
        select max(event_at) as moment from {{ ref('session_items') }}
        union all
        select max(live_from) as moment from {{ source('ml', 'published_lists') }}
    ) as newest_moments
),

lists as (
    -- Lists that are no longer live are deleted after a while, so that only those are left which stayed live for long.
    -- Days on which that may be so don't count
    select
        published.*,
        greatest(
            published.live_from,
            {{ start_of_day(day_of('newest.moment') ~ ' - ' ~ var('outcome_days') ~ ' + 1') }}
        ) as counts_from
    from {{ source('ml', 'published_lists') }} as published
    cross join newest
)

select
    lists.placement,
    lists.visitor_id,
    lists.rank,
    lists.item_id,
    lists.model,
    lists.arm,
    lists.counts_from as live_from,
    lists.live_until
from lists
anti join {{ ref('bot_visitors') }} as bots on lists.visitor_id = bots.visitor_id
where lists.live_until is null or lists.counts_from < lists.live_until
