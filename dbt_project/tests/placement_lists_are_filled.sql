-- The test only warns, because a short list harms nobody.
{{ config(severity='warn') }}
-- If popular items may fill a placement's lists, a list is shorter than `k` only if it has all available items that the
-- rules allow its visitor. The test looks for missing items in 20 short lists of each placement.
-- depends_on: {{ ref('placement_recommendations') }}
-- depends_on: {{ ref('placement_lists') }}
-- depends_on: {{ ref('popular_items') }}
-- depends_on: {{ ref('session_items') }}
-- depends_on: {{ ref('latest_sequences') }}
{{ empty_result() }}
{% for rule in placement_rules('fallback') if rule['definition'] == 'popularity' %}
{% set placement, name = rule['placement'], text_literals([rule['placement']]) %}
{% set event_types = rule_definitions(placement, 'exclude_event') %}
union all
select {{ name }}, judged_visitor_id, item_id
from (
    select item.*, visitors.visitor, visitors.id as judged_visitor_id
    from (
        select visitor, visitor.visitor_id as id
        from ({{ placement_rules('visitors_query')[0]['definition'] }}) as visitor
    ) as visitors
    semi join ({{ visitors_of_sampled_lists(placement, false, 20) }}) as short_lists
        on visitors.id = short_lists.visitor_id
    cross join ({{ placement_rules('items_query')[0]['definition'] }}) as item
    semi join {{ ref('popular_items') }} as popular_items on item.item_id = popular_items.item_id
) as item
anti join {{ ref('placement_recommendations') }} as listed_rows
    on
        listed_rows.placement = {{ name }}
        and item.judged_visitor_id = listed_rows.visitor_id and item.item_id = listed_rows.item_id
{% if rule_definitions(placement, 'repeats') == ['false'] %}
anti join (
    select visitor_id, unnest({{ target_items('sequences') }}) as item_id
    from {{ ref('latest_sequences') }} as sequences
) as sequence_items on item.judged_visitor_id = sequence_items.visitor_id and item.item_id = sequence_items.item_id
{% endif %}
{% if event_types %}
anti join {{ ref('session_items') }} as events
    on
        item.judged_visitor_id = events.visitor_id and item.item_id = events.item_id
        and events.event_type in ({{ text_literals(event_types) }})
        and events.event_at > {{ text_literals(rule_definitions(placement, 'exclude_since')) }}::timestamptz
{% endif %}
{% for cap in placement_rules('max_per') if cap['placement'] == placement %}
{% set column = '"' ~ (cap['target'] | replace('"', '""')) ~ '"' %}
anti join (
    select judged_visitor_id as visitor_id, {{ column }} as value
    from ({{ list_rows_with_rule_columns(placement) }}) as item
    group by judged_visitor_id, {{ column }}
    having count(*) >= {{ cap['definition'] }}
) as full_{{ loop.index }}
    on item.judged_visitor_id = full_{{ loop.index }}.visitor_id and item.{{ column }} = full_{{ loop.index }}.value
{% endfor %}
{% for condition in rule_definitions(placement, 'items') %}
where coalesce(({{ condition }}
), false)
{% endfor %}
{% endfor %}
