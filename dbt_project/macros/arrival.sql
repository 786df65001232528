{# The range of loaded_at that a build of checked_events takes up. #}

{# Until when all that arrived was there for the builds so far, but for slow transactions: a loaded_at in the future
   says nothing of what arrives until then, and one that is null (`least` would skip over it) nothing at all. #}
{% macro arrived_until_build() -%}
    max(case when loaded_at is not null then least(loaded_at, built_at) end)
{%- endmacro %}

{# The overlap lets in rows that a slow transaction committed after the last build. No older row should appear. #}
{% macro settled_until() -%}
    {{ arrived_until_build() }} - {{ minutes(var('arrival_overlap_minutes')) }}
{%- endmacro %}

{% macro arrival_watermark() -%}
    {% if is_incremental() %}
    select {{ settled_until() }} from {{ this }}
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
        where loaded_at > (select {{ arrived_until_build() }} from {{ this }})
        {% endif %}
        group by loaded_at
    ) as arrivals
    where events_so_far >= {{ var('max_events_per_build') }}
    {% else %}
    select 'infinity'::timestamptz
    {% endif %}
{%- endmacro %}
