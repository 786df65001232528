{{ config(materialized='view') }}

with counted as (
    select {{ sequence_key() }} as sequence_id, visitor_id, item_id, event_at, event_id
    from {{ ref('session_items') }}
    {% if var('sequence_event_types') %}
    where event_type in ({{ text_list(var('sequence_event_types')) }})
    {% endif %}
),

steps as (
    -- a view, then the cart, then the purchase of one item are one step, not three
    select *
    from counted
    qualify item_id is distinct from lag(item_id) over (partition by sequence_id order by event_at, event_id)
)

select
    sequence_id,
    visitor_id,
    {{ ordered_list('item_id', 'event_at, event_id') }} as items,
    {{ ordered_list('event_at', 'event_at, event_id') }} as event_times,
    max(event_at) as ended_at,
    count(*)::integer as item_count
from steps
group by sequence_id, visitor_id
