{{ config(enabled=not var('allow_repeats')) }}
-- No visitor is recommended an item of the visitor's own latest sequence; if `target_event_types` is set, none that is a
-- target there.
select list_rows.visitor_id, list_rows.item_id
from {{ ref('visitor_recommendations') }} as list_rows
inner join {{ ref('latest_sequences') }} as sequences on list_rows.visitor_id = sequences.visitor_id
where list_contains({{ target_items('sequences') }}, list_rows.item_id)
