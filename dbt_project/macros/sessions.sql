{# What sessions are called, and what a build of them has to look at. #}

{# Named by the visitor and the first event: a late event renames a session only when it comes before all others. #}
{% macro session_key() -%}
    md5(visitor_id || ':' || event_id)
{%- endmacro %}

{# No visit without an event since then can be touched by a new event. #}
{% macro near_from() -%}
    select coalesce(min(event_at) - {{ minutes(var('session_gap_minutes')) }}, 'infinity')
    from {{ ref('stg_events') }}
    where batch_id > {{ remembered('items_after', 0) }}
{%- endmacro %}

{# No event before this moment is assigned anew: where the earliest of the visits began that may be touched. #}
{% macro touched_from() -%}
    {% if is_incremental() %}
    select coalesce(min(visit_started_at), 'infinity')
    from {{ this }}
    where
        event_at >= {{ remembered('near_from', "'-infinity'::timestamptz") }}
        or source_session_id in (
            select source_session_id from {{ ref('stg_events') }}
            where batch_id > {{ remembered('items_after', 0) }}
        )
    {% else %}
    select '-infinity'::timestamptz
    {% endif %}
{%- endmacro %}

{# No session that began before this moment has changed. #}
{% macro changed_from() -%}
    select coalesce(min(event_at), 'infinity')
    from {{ ref('session_items') }}
    where assigned_batch_id > {{ remembered('totals_after', 0) }}
{%- endmacro %}

{# What sessions are cut by: a table whose sessions follow different rules has to be built anew. #}
{% macro session_rule() -%}
    gap {{ var('session_gap_minutes') }} min, longest {{ var('max_session_minutes') }} min,
    {{- ' ' }}{{ var('max_session_events') }} events
{%- endmacro %}
