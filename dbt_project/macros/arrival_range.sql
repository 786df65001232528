{# Macros for the range of loaded_at that a build of int_events_checked reads from raw.events. #}

{# The latest arrival time up to which the builds so far have read all rows of raw.events, except rows that a slow
   transaction commits later. If a row's loaded_at lies after the start of its build, the start counts instead, because
   rows that arrived between the start and this loaded_at may be unread. Rows without a loaded_at are ignored; `least`
   alone would give such a row the start of its build. #}
{% macro arrivals_seen_until() -%}
    max(case when loaded_at is not null then least(loaded_at, built_at) end)
{%- endmacro %}

{# The arrival time before which no later build looks for rows. This time lies `arrival_overlap_minutes` before
   arrivals_seen_until, because a slow transaction may commit rows with an older loaded_at after a build. #}
{% macro settled_until() -%}
    {{ arrivals_seen_until() }} - {{ minutes(var('arrival_overlap_minutes')) }}
{%- endmacro %}

{# Query for the earliest loaded_at that a build of int_events_checked reads from raw.events. A build reads all rows
   again if rows have slipped past the builds before: their loaded_at is too old, because the clock of the user's tool
   was wrong, or a transaction was slow. Rows that earlier builds have judged are not judged twice. #}
{% macro earliest_arrival_to_read() -%}
    {% if is_incremental() %}
    {% set batches = adapter.get_relation(this.database, this.schema, 'event_batches') if execute %}
    select
        {% if batches %}
        case
            when (
                select count(*) from {{ source('raw', 'events') }}
                where loaded_at < (select settled_until from {{ batches }} order by batch_id desc limit 1)
            ) > (select settled_count from {{ batches }} order by batch_id desc limit 1) then '-infinity'::timestamptz
            else {{ settled_until() }}
        end
        {% else %}
        {{ settled_until() }}
        {% endif %}
    from {{ this }}
    {% else %}
    select '-infinity'::timestamptz
    {% endif %}
{%- endmacro %}

{# Query for the latest loaded_at that a build of int_events_checked reads from raw.events. With `max_events_per_build`
   a backfill is read in portions: a build reads the oldest arrivals until they hold `max_events_per_build` events. Rows
   of one loaded_at are always in the same portion. #}
{% macro latest_arrival_to_read() -%}
    {% if var('max_events_per_build') %}
    select min(loaded_at)
    from (
        select loaded_at, sum(count(*)) over (order by loaded_at) as events_so_far
        from {{ source('raw', 'events') }}
        {% if is_incremental() %}
        where loaded_at > (select {{ arrivals_seen_until() }} from {{ this }})
        {% endif %}
        group by loaded_at
    ) as arrival_counts
    where events_so_far >= {{ var('max_events_per_build') }}
    {% else %}
    select 'infinity'::timestamptz
    {% endif %}
{%- endmacro %}
