{# Macros for the range of loaded_at that a build of int_events_checked reads from raw.events. #}

{# The arrival time up to which the builds so far have read all rows of raw.events, except rows that a slow transaction
   commits later. It is the latest loaded_at of a row that a build has read. A loaded_at that lies after the start of
   the row's build counts as that start, because rows that arrive between the two may be unread. Rows without a
   loaded_at are ignored; `least` alone would give such a row the start of its build. #}
{% macro arrivals_seen_until() -%}
    max(case when loaded_at is not null then least(loaded_at, built_at) end)
{%- endmacro %}

{# The arrival time from which on the next build reads rows: earlier rows are settled. It lies `arrival_overlap_minutes`
   before arrivals_seen_until, because a slow transaction may commit rows with an older loaded_at after a build. #}
{% macro settled_until() -%}
    {{ arrivals_seen_until() }} - {{ interval_of_minutes(var('arrival_overlap_minutes')) }}
{%- endmacro %}

{# Query for the earliest loaded_at that a build of int_events_checked reads from raw.events. It is settled_until,
   unless more rows lie before settled_until than the previous build counted there. Then the build reads all rows again,
   to find the rows that came late: the clock of the user's tool was wrong, or a transaction was slow. A row that an
   earlier build has judged is not judged twice. #}
{% macro earliest_arrival_to_read() -%}
    {% if is_incremental() %}
    {% set event_batches_table = adapter.get_relation(this.database, this.schema, 'event_batches') if execute %}
    select
        {% if event_batches_table %}
        case
            when (
                select count(*) from {{ source('raw', 'events') }}
                where loaded_at < (select settled_until from {{ event_batches_table }} order by batch_id desc limit 1)
            ) > (select settled_count from {{ event_batches_table }} order by batch_id desc limit 1)
                then '-infinity'::timestamptz
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
   a backfill is read in portions: a build reads the oldest arrivals until they hold `max_events_per_build` new events.
   Rows of one loaded_at are always in the same portion. #}
{% macro latest_arrival_to_read() -%}
    {% if var('max_events_per_build') %}
    select min(loaded_at)
    from (
        select loaded_at, sum(count(*)) over (order by loaded_at) as event_count_so_far
        from ({{ arrivals_not_yet_read() }}) as new_arrivals
        group by loaded_at
    ) as event_counts_by_arrival
    where event_count_so_far >= {{ var('max_events_per_build') }}
    {% else %}
    select 'infinity'::timestamptz
    {% endif %}
{%- endmacro %}

{# Query for the rows of raw.events that no build has read. Rows that lie after arrivals_seen_until can have been read
   all the same: rows of events that were delivered again, which are not stored twice, and rows whose loaded_at lies
   after the start of the build that read them. If they counted, each build would read the portion before it again, and
   no build would come to the rows after them. #}
{% macro arrivals_not_yet_read() -%}
    select arrived_events.loaded_at
    from (
        select
            loaded_at,
            {{ blank_as_null('event_id') }} as event_id,
            {{ null_word_as_null('item_id') }} as item_id
        from {{ source('raw', 'events') }}
        {% if is_incremental() %}
        where
            loaded_at > (select {{ arrivals_seen_until() }} from {{ this }})
            and loaded_at not in (select loaded_at from {{ this }} where loaded_at > built_at)
        {% endif %}
    ) as arrived_events
    {% if is_incremental() %}
    anti join {{ this }} as judged_events on {{ event_key('arrived_events') }} = judged_events.row_key
    {% endif %}
{%- endmacro %}
