with prices as (
    -- an event that is older than the first known price of its item is valued at that price
    select
        item_id,
        price,
        case
            when row_number() over (partition by item_id order by dbt_valid_from) > 1 then dbt_valid_from
        end as valid_from,
        dbt_valid_to as valid_until
    from {{ ref('item_history') }}
)

select
    {{ event_key('events') }} as event_key,
    events.visitor_id,
    events.item_id,
    events.event_type,
    events.event_at,
    case when {{ is_type_of('bought', 'events.event_type') }} then prices.price end as revenue
from {{ ref('session_items') }} as events
anti join {{ ref('bot_visitors') }} as bots on events.visitor_id = bots.visitor_id
left join prices
    on
        events.item_id = prices.item_id
        and (prices.valid_from is null or events.event_at >= prices.valid_from)
        and (prices.valid_until is null or events.event_at < prices.valid_until)
where {{ is_outcome_type('events.event_type') }}
