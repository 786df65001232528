{{ config(fail_calc='count(message)') }}
-- The dbt var `event_identity` can't change for a part of the events: an event that was judged under another value
-- would count as another event, or have rejected one that is an event now. After such a change, run once with
-- --full-refresh.
with judged_otherwise as (
    select count(*) as events
    from {{ ref('int_events_checked') }}
    where {{ is_identified_event() }} and row_key <> {{ event_key() }}
)

select {{ stop_with("format('event_identity has changed: {:,} events were told apart by other columns than {}; "
    ~ "run once with --full-refresh', events, " ~ text_list([var('event_identity') | join(' and ')]) ~ ")") }} as message
from judged_otherwise
where events > 0
