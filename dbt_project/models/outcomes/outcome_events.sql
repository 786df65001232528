-- The events that count as outcomes, since the window before the first live list. This model is a table instead of a
-- view, because many steps read it.
{{ config(materialized='table') }}

with prices as (
    -- an event that is older than the first known price of its item is valued at that price
    select
        item_id,
        price,
        case
            when row_number() over (partition by item_id order by dbt_valid_from) > 1 then dbt_valid_from
            else '-infinity'::timestamptz
        end as valid_from,
        coalesce(dbt_valid_to, 'infinity'::timestamptz) as valid_until
    from {{ ref('item_history') }}
),

first_list as (
    select min(live_from) - {{ outcome_window() }} as event_at from {{ ref('live_lists') }}
)

select
    {{ event_key('events') }} as event_key,
    events.visitor_id,
    events.item_id,
    events.event_type,
    events.event_at,
    case when {{ is_event_type_of_kind('bought', 'events.event_type') }} then prices.price end as revenue
from {{ ref('session_items') }} as events
inner join first_list on events.event_at >= first_list.event_at
anti join {{ ref('bot_visitors') }} as bots on events.visitor_id = bots.visitor_id
left join prices
    on
        events.item_id = prices.item_id
        and events.event_at >= prices.valid_from
        and events.event_at < prices.valid_until
where {{ is_outcome_event_type('events.event_type') }}
