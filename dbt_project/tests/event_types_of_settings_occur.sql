{{ config(fail_calc='count(message)') }}
-- A setting that spells an event type otherwise than the events do silently has no effect: sequences stay empty, or a
-- weight is never used. The build stops if none of a setting's types occurs among the events, or if a
-- type occurs only in other cases of letters.
{% set listed, settings = [], ['sequence_event_types', 'known_event_types', 'event_weights'] %}
-- The default event types of `bought_event_types` and `viewed_event_types` need not occur, because a shop may record no
-- purchases, or no views.
{% if var('bought_event_types') != ['purchase'] %}{% do settings.append('bought_event_types') %}{% endif %}
{% if var('viewed_event_types') != ['view'] %}{% do settings.append('viewed_event_types') %}{% endif %}
{% for setting in settings %}
{% for type in var(setting) or [] %}
{% do listed.append('select ' ~ text_literals([setting]) ~ ' as setting, ' ~ text_literals([type]) ~ ' as event_type') %}
{% endfor %}
{% endfor %}
with types_in_settings as (
    {{ listed | join(' union all ') or 'select null as setting, null as event_type where false' }}
),

types_of_events as (
    select event_type, count(*) as events
    from {{ ref('int_events_checked') }}
    where event_type is not null
    group by event_type
),

setting_types_with_matches as (
    select
        types_in_settings.*,
        types_in_settings.event_type in (select event_type from types_of_events) as is_found,
        lower(types_in_settings.event_type) in (select lower(event_type) from types_of_events) as is_found_in_other_case
    from types_in_settings
    where exists (select 1 from types_of_events)
),

wrong_settings as (
    select setting, string_agg(event_type, ', ' order by event_type) filter (where not is_found) as missing_types
    from setting_types_with_matches
    group by setting
    having not bool_or(is_found) or bool_or(not is_found and is_found_in_other_case)
    order by setting
    limit 1
),

most_frequent_types as (
    select string_agg(event_type, ', ' order by events desc, event_type) as found
    from (select * from types_of_events order by events desc, event_type limit 20) as most_frequent
)

select {{ fail_with_message("format('{} names {}, but the events have the types {}',"
    ~ " setting, missing_types, found)") }} as message
from wrong_settings
cross join most_frequent_types
