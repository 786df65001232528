-- No list of a placement has an item on which the visitor has had an event that the placement's key `exclude` names.
-- Unless the placement allows `repeats`, no list has an item of the visitor's own latest sequence; if
-- `target_event_types` is set, none that is a target there.
-- depends_on: {{ ref('placement_recommendations') }}
-- depends_on: {{ ref('session_items') }}
-- depends_on: {{ ref('latest_sequences') }}
{{ empty_result() }}
{% for since in placement_rules('exclude_since') %}
{% set event_types = placement_rules('exclude_event') | selectattr('placement', 'equalto', since['placement']) | list %}
union all
select list_rows.placement, list_rows.visitor_id, list_rows.item_id
from {{ ref('placement_recommendations') }} as list_rows
semi join {{ ref('session_items') }} as events
    on
        list_rows.visitor_id = events.visitor_id and list_rows.item_id = events.item_id
        and events.event_type in ({{ text_literals(event_types | map(attribute='definition') | list) }})
        and events.event_at > {{ text_literals([since['definition']]) }}::timestamptz
where list_rows.placement = {{ text_literals([since['placement']]) }}
{% endfor %}
{% for repeats in placement_rules('repeats') if repeats['definition'] == 'false' %}
union all
select list_rows.placement, list_rows.visitor_id, list_rows.item_id
from {{ ref('placement_recommendations') }} as list_rows
inner join {{ ref('latest_sequences') }} as sequences on list_rows.visitor_id = sequences.visitor_id
where
    list_rows.placement = {{ text_literals([repeats['placement']]) }}
    and list_contains({{ target_items('sequences') }}, list_rows.item_id)
{% endfor %}
