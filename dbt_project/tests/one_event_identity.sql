{{ config(fail_calc='count(message)') }}
-- All events must have been judged under the present value of the dbt var `event_identity`, which says which rows are
-- the same event. After a change of `event_identity`, run once with --full-refresh.
with count_of_events_with_another_identity as (
    select count(*) as events
    from {{ ref('int_events_checked') }}
    where {{ is_usable_once_item_is_known() }} and row_key <> {{ event_key() }}
)

select {{ fail_with_message("format('event_identity has changed: {:,} events were told apart by other columns than {}; "
    ~ "run once with --full-refresh', events, " ~ text_literals([var('event_identity') | join(' and ')]) ~ ")") }} as message
from count_of_events_with_another_identity
where events > 0
