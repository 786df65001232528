-- depends_on: {{ ref('visitors') }}
{% set attribute_name, event_types = var('trending_attribute'), var('sequence_event_types') %}

with newest_event_time as (
    -- windows end at the newest event, not at the clock, because a late feed would empty windows that end at the clock
    select max(event_at) as event_at from {{ ref('session_items') }}
),

trend_windows as (
    {% for days in [1, 7, 28] %}
    select
        {{ days }} as window_days,
        event_at - {{ interval_of_hours(24 * days) }} as window_starts_after,
        event_at - {{ interval_of_hours(48 * days) }} as window_before_starts_after
    from newest_event_time
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

visitor_item_pairs as (
    -- for each window, visitor and item: whether the visitor had an event on the item in the window, and whether in the
    -- equally long window before it
    select
        trend_windows.window_days,
        items.visitor_id,
        items.item_id,
        max(items.event_at) > trend_windows.window_starts_after as is_in_window,
        min(items.event_at) <= trend_windows.window_starts_after as is_in_window_before
    from {{ ref('session_items') }} as items
    anti join {{ ref('bot_visitors') }} as bots on items.visitor_id = bots.visitor_id
    inner join trend_windows on items.event_at > trend_windows.window_before_starts_after
    -- events that lie before all windows are left out first
    where
        items.event_at > (select event_at - {{ interval_of_hours(48 * 28) }} from newest_event_time)
        and {% if event_types %}items.event_type in ({{ text_literals(event_types) }}){% else %}true{% endif %}
    group by trend_windows.window_days, trend_windows.window_starts_after, items.visitor_id, items.item_id
),

visitor_counts_by_item_and_attribute as (
    select
        visitor_item_pairs.window_days,
        items.item_id,
        items.title,
        items.category,
        {% if attribute_name -%}{{ attribute_text('visitors.attributes', attribute_name) }}{% else %}null{% endif %}
            as attribute_value,
        count(*) filter (where visitor_item_pairs.is_in_window) as visitor_count_in_window,
        count(*) filter (where visitor_item_pairs.is_in_window_before) as visitor_count_in_window_before
    from visitor_item_pairs
    inner join {{ ref('items') }} as items on visitor_item_pairs.item_id = items.item_id and items.available
    {% if attribute_name -%}
    left join {{ ref('visitors') }} as visitors on visitor_item_pairs.visitor_id = visitors.visitor_id
    {% endif -%}
    group by all
),

visitor_counts_with_segments as (
    select 'all' as segment, * from visitor_counts_by_item_and_attribute
    union all
    select 'category=' || category as segment, * from visitor_counts_by_item_and_attribute
    where category is not null
    {% if attribute_name -%}
    union all
    select {{ text_literals([attribute_name ~ '=']) }} || attribute_value as segment, *
    from visitor_counts_by_item_and_attribute
    where attribute_value is not null
    {% endif -%}
),

visitor_counts_by_item_and_segment as (
    select
        window_days, segment, item_id, title,
        sum(visitor_count_in_window)::bigint as visitor_count_in_window,
        sum(visitor_count_in_window + visitor_count_in_window_before)::bigint as visitor_count_in_both_windows
    from visitor_counts_with_segments
    group by window_days, segment, item_id, title
),

visitor_counts_with_segment_totals as (
    select
        *,
        sum(visitor_count_in_window) over (partition by window_days, segment)::bigint as total_in_window,
        sum(visitor_count_in_both_windows) over (partition by window_days, segment)::bigint as total_in_both_windows
    from visitor_counts_by_item_and_segment
),

scored_items as (
    -- change is the item's share in the window, divided by its share in the window before. A share is the item's number
    -- of visitors, divided by the sum of these numbers over the segment's items. One is added to each number and sum, so
    -- that change is finite for an item without visitors in the window before
    select
        *,
        (visitor_count_in_window + 1.0) / (total_in_window + 1.0)
        / (
            (visitor_count_in_both_windows - visitor_count_in_window + 1.0)
            / (total_in_both_windows - total_in_window + 1.0)
        ) as change,
        {{ log_likelihood_ratio(
            'visitor_count_in_window', 'visitor_count_in_both_windows', 'total_in_window', 'total_in_both_windows'
        ) }} as score
    from visitor_counts_with_segment_totals
    where
        visitor_count_in_window >= {{ var('trending_min_visitors') }}
        -- only items whose share has grown are trending
        and visitor_count_in_window::double * total_in_both_windows
        > visitor_count_in_both_windows::double * total_in_window
),

ranked_items as (
    select *, row_number() over (partition by window_days, segment order by score desc, item_id)::integer as rank
    from scored_items
    -- in a small segment, change can be 1 or less although the item's share has grown, because of the added visitors
    where change > 1
)

select window_days, segment, rank, item_id, title, score, change
from ranked_items
where rank <= {{ var('trending_items_per_segment') }}
order by window_days, segment, rank
