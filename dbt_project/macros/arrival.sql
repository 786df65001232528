{# The range of loaded_at that a build of checked_events takes up. #}

{# The overlap lets in rows that a slow transaction committed after the last build. A loaded_at in the future must not
   hold back what arrives until then. #}
{% macro arrival_watermark() -%}
    {% if is_incremental() %}
    select max(least(loaded_at, '{{ run_started_at }}'::timestamptz)) - {{ minutes(var('arrival_overlap_minutes')) }}
    from {{ this }}
    where loaded_at is not null -- `least` would skip over a null
    {% else %}
    select '-infinity'::timestamptz
    {% endif %}
{%- endmacro %}

{# A backfill goes in portions: the oldest arrivals that hold max_events_per_build events, and never half an arrival. #}
{% macro arrival_cap() -%}
    {% if var('max_events_per_build') %}
    select min(loaded_at)
    from (
        select loaded_at, sum(count(*)) over (order by loaded_at) as events_so_far
        from {{ source('raw', 'events') }}
        {% if is_incremental() %}
        where loaded_at > (select max(loaded_at) from {{ this }})
        {% endif %}
        group by loaded_at
    ) as arrivals
    where events_so_far >= {{ var('max_events_per_build') }}
    {% else %}
    select 'infinity'::timestamptz
    {% endif %}
{%- endmacro %}

{# No row that arrived until then should appear any more: the next build looks back by the overlap only. #}
{% macro settled_at() -%}
    last_loaded_at - {{ minutes(var('arrival_overlap_minutes')) }}
{%- endmacro %}
