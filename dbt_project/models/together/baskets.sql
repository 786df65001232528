{{ config(
    materialized='incremental', incremental_strategy='append',
    pre_hook="{{ mark_outdated_baskets(this) }}",
    post_hook="{{ clear_basket_pairs() }}"
) }}

with sessions_without_basket as (
    -- sessions of people, not of bots, for whose present events there is no basket yet
    select sessions.session_id, sessions.assigned_batch_id, sessions.event_count, sessions.ended_at
    from {{ ref('session_totals') }} as sessions
    anti join {{ ref('bot_visitors') }} as bots on sessions.visitor_id = bots.visitor_id
    {% if is_incremental() -%}
    anti join {{ this }} as known_baskets
        on {{ is_current_basket_of_session('known_baskets', 'sessions') }} and known_baskets.is_live
    {% endif -%}
),

item_times_by_session as (
    -- the times at which each session last viewed, and last bought, each of its items
    select
        items.session_id,
        items.item_id,
        max(items.event_at) filter (where {{ is_basket_event('viewed') }}) as viewed_at,
        max(items.event_at) filter (where {{ is_basket_event('bought') }}) as bought_at
    from {{ ref('session_items') }} as items
    semi join sessions_without_basket
        on
            items.session_id = sessions_without_basket.session_id
            and items.assigned_batch_id = sessions_without_basket.assigned_batch_id
    where {{ is_basket_event('viewed') }} or {{ is_basket_event('bought') }}
    group by items.session_id, items.item_id
),

baskets_of_sessions as (
    select
        session_id,
        {{ latest_items('viewed_at', var('together_items_per_session')) }} as viewed_items,
        {{ latest_items('bought_at', var('together_items_per_session')) }} as bought_items
    from item_times_by_session
    group by session_id
)

-- A session that viewed and bought nothing has a row too; else the next build would take the session for a new one.
select
    sessions_without_basket.session_id,
    sessions_without_basket.assigned_batch_id,
    sessions_without_basket.event_count,
    sessions_without_basket.ended_at,
    baskets_of_sessions.viewed_items,
    baskets_of_sessions.bought_items,
    '{{ basket_rule() }}' as basket_rule,
    true as is_live,
    false as is_counted
from sessions_without_basket
left join baskets_of_sessions on sessions_without_basket.session_id = baskets_of_sessions.session_id
