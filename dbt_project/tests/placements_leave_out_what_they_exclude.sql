-- No list of a placement has an item with which the visitor has had an event that the key `exclude` names. Without
-- `repeats`, no list has an item of the visitor's own sequence.
-- depends_on: {{ ref('placement_recommendations') }}
-- depends_on: {{ ref('session_items') }}
-- depends_on: {{ ref('latest_sequences') }}
{{ empty_result() }}
{% for since in placement_rules('exclude_since') %}
{% set event_types = placement_rules('exclude_event') | selectattr('placement', 'equalto', since['placement']) | list %}
union all
select recommended.placement, recommended.visitor_id, recommended.item_id
from {{ ref('placement_recommendations') }} as recommended
semi join {{ ref('session_items') }} as events
    on
        recommended.visitor_id = events.visitor_id and recommended.item_id = events.item_id
        and events.event_type in ({{ text_literals(event_types | map(attribute='definition') | list) }})
        and events.event_at > {{ text_literals([since['definition']]) }}::timestamptz
where recommended.placement = {{ text_literals([since['placement']]) }}
{% endfor %}
{% for repeats in placement_rules('repeats') if repeats['definition'] == 'false' %}
union all
select recommended.placement, recommended.visitor_id, recommended.item_id
from {{ ref('placement_recommendations') }} as recommended
inner join {{ ref('latest_sequences') }} as sequences on recommended.visitor_id = sequences.visitor_id
where
    recommended.placement = {{ text_literals([repeats['placement']]) }}
    and list_contains(sequences.items, recommended.item_id)
{% endfor %}
