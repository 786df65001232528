{{ config(materialized='view') }}
-- depends_on: {{ ref('sessions') }}

with sequence_events as (
    select
        {{ sequence_key() }} as sequence_id,
        {% if var('sequence_scope') == 'user' -%}
        -- the devices of a user share one sequence; the sequence's visitor_id is the device that the user used last
        arg_max(items.visitor_id, (items.event_at, items.event_id, items.visitor_id))
            over (partition by {{ sequence_key() }}) as visitor_id,
        {% else -%}
        items.visitor_id,
        {% endif -%}
        items.item_id, items.event_at, items.event_id,
        {{ is_target_event('items.event_type') }} as is_target
    from {{ ref('session_items') }} as items
    {% if var('sequence_scope') == 'user' -%}
    inner join {{ ref('sessions') }} as sessions on items.session_id = sessions.session_id
    {% endif -%}
    -- bots have no sequences, so that no model learns from them, and they get no recommendations
    anti join {{ ref('bot_visitors') }} as bots on items.visitor_id = bots.visitor_id
    {% if var('sequence_event_types') -%}
    where items.event_type in ({{ text_literals(var('sequence_event_types')) }})
    {% endif -%}
),

sequence_steps as (
    -- consecutive events on one item, such as view, cart and purchase, are one step of the sequence
    select *
    from sequence_events
    {% if var('collapse_repeats') -%}
    qualify
        item_id is distinct from lag(item_id) over (partition by sequence_id order by {{ event_sort_keys() }})
        {%- if var('target_event_types') %}
        -- a target after views of its item is a step of its own, or no model could predict it
        or is_target > lag(is_target) over (partition by sequence_id order by {{ event_sort_keys() }})
        {%- endif %}
    {% endif -%}
)

select
    sequence_id,
    visitor_id,
    {{ ordered_list('item_id', event_sort_keys()) }} as items,
    {{ ordered_list('event_at', event_sort_keys()) }} as event_times,
    max(event_at) as ended_at,
    count(*)::integer as item_count,
    {{ ordered_list('is_target', event_sort_keys()) }} as is_target
from sequence_steps
group by sequence_id, visitor_id
