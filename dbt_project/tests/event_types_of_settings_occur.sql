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
{% do listed.append('select ' ~ text_list([setting]) ~ ' as setting, ' ~ text_list([type]) ~ ' as event_type') %}
{% endfor %}
{% endfor %}
with listed_types as (
    {{ listed | join(' union all ') or 'select null as setting, null as event_type where false' }}
),

found_types as (
    select event_type, count(*) as events
    from {{ ref('int_events_checked') }}
    where event_type is not null
    group by event_type
),

compared_types as (
    select
        listed_types.*,
        listed_types.event_type in (select event_type from found_types) as is_found,
        lower(listed_types.event_type) in (select lower(event_type) from found_types) as is_found_in_other_case
    from listed_types
    where exists (select 1 from found_types)
),

wrong_settings as (
    select setting, string_agg(event_type, ', ' order by event_type) filter (where not is_found) as missing_types
    from compared_types
    group by setting
    having not bool_or(is_found) or bool_or(not is_found and is_found_in_other_case)
    order by setting
    limit 1
),

known_types as (
    select string_agg(event_type, ', ' order by events desc, event_type) as found
    from (select * from found_types order by events desc, event_type limit 20) as most_frequent
)

select {{ stop_with("format('{} names {}, but the events have the types {}',"
    ~ " setting, missing_types, found)") }} as message
from wrong_settings
cross join known_types
