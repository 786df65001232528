{{ config(fail_calc='count(message)') }}
-- The build stops if none of the event types that a setting names occurs among the events, or if one of them occurs
-- only with other capital or small letters. Otherwise the setting would have no effect, and nobody would notice:
-- sequences would stay empty, nothing would be predicted, or a weight would never be used.
{% set selects, settings = [], ['sequence_event_types', 'target_event_types', 'known_event_types', 'event_weights'] %}
-- The defaults of `bought_event_types` and `viewed_event_types` are not tested, because a shop may record no purchases,
-- or no views.
{% if var('bought_event_types') != ['purchase'] %}{% do settings.append('bought_event_types') %}{% endif %}
{% if var('viewed_event_types') != ['view'] %}{% do settings.append('viewed_event_types') %}{% endif %}
{% for setting in settings %}
{% for type in var(setting) or [] %}
{% do selects.append('select ' ~ text_literals([setting]) ~ ' as setting, ' ~ text_literals([type]) ~ ' as event_type') %}
{% endfor %}
{% endfor %}
with types_in_settings as (
    {{ selects | join(' union all ') or 'select null as setting, null as event_type where false' }}
),

event_type_counts as (
    select event_type, count(*) as event_count
    from {{ ref('int_events_checked') }}
    where event_type is not null
    group by event_type
),

setting_types_with_matches as (
    select
        types_in_settings.*,
        types_in_settings.event_type in (select event_type from event_type_counts) as is_found,
        lower(types_in_settings.event_type) in (select lower(event_type) from event_type_counts) as is_found_in_other_case
    from types_in_settings
    where exists (select 1 from event_type_counts)
),

first_wrong_setting as (
    select setting, string_agg(event_type, ', ' order by event_type) filter (where not is_found) as missing_types
    from setting_types_with_matches
    group by setting
    having not bool_or(is_found) or bool_or(not is_found and is_found_in_other_case)
    order by setting
    limit 1
),

frequent_types_text as (
    select string_agg(event_type, ', ' order by event_count desc, event_type) as frequent_types
    from (select * from event_type_counts order by event_count desc, event_type limit 20) as frequent_event_types
)

select {{ fail_with_message("format('{} names {}, but the events have the types {}',"
    ~ " setting, missing_types, frequent_types)") }} as message
from first_wrong_setting
cross join frequent_types_text
