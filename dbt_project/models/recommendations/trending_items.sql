-- depends_on: {{ ref('visitors') }}
{% set attribute, types = var('trending_attribute'), var('sequence_event_types') %}

with newest_event as (
    -- windows end at the newest event, not at the clock, because a late feed would empty windows that end at the clock
    select max(event_at) as event_at from {{ ref('session_items') }}
),

trend_windows as (
    {% for days in [1, 7, 28] %}
    select
        {{ days }} as window_days,
        event_at - {{ hours(24 * days) }} as starts_after,
        event_at - {{ hours(48 * days) }} as before_starts_after
    from newest_event
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

visitor_items as (
    -- for each window, visitor and item, whether the visitor had an event on the item in the window, and whether in the
    -- equally long window before
    select
        trend_windows.window_days,
        items.visitor_id,
        items.item_id,
        max(items.event_at) > trend_windows.starts_after as is_in_window,
        min(items.event_at) <= trend_windows.starts_after as is_before
    from {{ ref('session_items') }} as items
    anti join {{ ref('bot_visitors') }} as bots on items.visitor_id = bots.visitor_id
    inner join trend_windows on items.event_at > trend_windows.before_starts_after
    -- events before the longest window and the window before it are in no window
    where
        items.event_at > (select event_at - {{ hours(48 * 28) }} from newest_event)
        and {% if types %}items.event_type in ({{ text_literals(types) }}){% else %}true{% endif %}
    group by trend_windows.window_days, trend_windows.starts_after, items.visitor_id, items.item_id
),

visitor_counts as (
    select
        visitor_items.window_days,
        items.item_id,
        items.title,
        items.category,
        {% if attribute -%}{{ attribute_text('visitors.attributes', attribute) }}{% else %}null{% endif %} as attribute,
        count(*) filter (where visitor_items.is_in_window) as visitors_in,
        count(*) filter (where visitor_items.is_before) as visitors_before
    from visitor_items
    inner join {{ ref('items') }} as items on visitor_items.item_id = items.item_id and items.available
    {% if attribute -%}
    left join {{ ref('visitors') }} as visitors on visitor_items.visitor_id = visitors.visitor_id
    {% endif -%}
    group by all
),

counts_of_segments as (
    select 'all' as segment, * from visitor_counts
    union all
    select 'category=' || category as segment, * from visitor_counts
    where category is not null
    {% if attribute -%}
    union all
    select {{ text_literals([attribute ~ '=']) }} || attribute as segment, * from visitor_counts
    where attribute is not null
    {% endif -%}
),

item_counts as (
    select
        window_days, segment, item_id, title,
        sum(visitors_in)::bigint as visitors_in,
        sum(visitors_in + visitors_before)::bigint as visitors_of_both
    from counts_of_segments
    group by window_days, segment, item_id, title
),

counts_with_totals as (
    select
        *,
        sum(visitors_in) over (partition by window_days, segment)::bigint as total_in,
        sum(visitors_of_both) over (partition by window_days, segment)::bigint as total_of_both
    from item_counts
),

scored_items as (
    -- change is the item's share of the visitors in the window, divided by its share in the window before. One visitor
    -- is added to each count, so that change is finite for an item without visitors in the window before
    select
        *,
        (visitors_in + 1.0) / (total_in + 1.0)
        / ((visitors_of_both - visitors_in + 1.0) / (total_of_both - total_in + 1.0)) as change,
        {{ log_likelihood_ratio('visitors_in', 'visitors_of_both', 'total_in', 'total_of_both') }} as score
    from counts_with_totals
    where
        visitors_in >= {{ var('trending_min_visitors') }}
        -- only items whose share has grown are trending
        and visitors_in::double * total_of_both > visitors_of_both::double * total_in
),

ranked_items as (
    select *, row_number() over (partition by window_days, segment order by score desc, item_id)::integer as rank
    from scored_items
    -- in a small segment the added visitors can make change at most 1 although the item's share has grown
    where change > 1
)

select window_days, segment, rank, item_id, title, score, change
from ranked_items
where rank <= {{ var('trending_items_per_segment') }}
order by window_days, segment, rank
