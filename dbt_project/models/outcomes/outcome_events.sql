-- The events that count as outcomes. They begin one outcome window before the first live list, because uplift compares
-- what visitors did before and after. This model is a table instead of a view, because many steps read it.
{{ config(materialized='table') }}

with price_periods as (
    -- a price holds until the next known one, so also while the catalogue states none; the first known price also holds
    -- for all earlier events on the item
    select
        item_id,
        price,
        case when row_number() over by_item > 1 then dbt_valid_from else '-infinity'::timestamptz end as valid_from,
        lead(dbt_valid_from, 1, 'infinity'::timestamptz) over by_item as valid_until
    from {{ ref('item_history') }}
    where
        price is not null
        -- a version ends before it begins if the clock was set back between two builds
        and (dbt_valid_to is null or dbt_valid_from < dbt_valid_to)
    window by_item as (partition by item_id order by dbt_valid_from)
),

earliest_outcome_time as (
    select min(live_from) - {{ outcome_window() }} as event_at from {{ ref('live_lists') }}
)

select
    {{ event_key('events') }} as event_key,
    events.visitor_id,
    events.item_id,
    events.event_type,
    events.event_at,
    case when {{ is_event_type_of_basket_kind('bought', 'events.event_type') }} then price_periods.price end as revenue
from {{ ref('session_items') }} as events
inner join earliest_outcome_time on events.event_at >= earliest_outcome_time.event_at
anti join {{ ref('bot_visitors') }} as bots on events.visitor_id = bots.visitor_id
left join price_periods
    on
        events.item_id = price_periods.item_id
        and events.event_at >= price_periods.valid_from
        and events.event_at < price_periods.valid_until
where {{ is_outcome_event_type('events.event_type') }}
