{# Macros for baskets. A basket is the set of items that a session viewed, or bought; pairs of its items are counted. #}

{# Condition that a row of session_items, under the alias `items`, puts its item into a basket. The kind of the
   basket is viewed or bought. #}
{% macro is_basket_event(kind) -%}
    {{ is_event_type_of_kind(kind, 'items.event_type') }}
{%- endmacro %}

{# Condition that the event type in a column counts as viewed, or as bought, by the dbt var of that kind. If the var is
   empty, every type counts. #}
{% macro is_event_type_of_kind(kind, column) -%}
    {%- set types = var(kind ~ '_event_types') -%}
    {% if types %}{{ column }} in ({{ text_literals(types) }}){% else %}true{% endif %}
{%- endmacro %}

{# The settings by which baskets are made, as one text. A basket that was made with another text is made anew. #}
{% macro basket_rule() -%}
    {%- set rule = [var('viewed_event_types') | sort, var('bought_event_types') | sort,
        var('together_items_per_session')] -%}
    {{ tojson(rule) | replace("'", "''") }}
{%- endmacro %}

{# Condition that a basket was made of a session's present events, by the present settings. `baskets` and `sessions`
   are aliases of relations. A late event, a deleted event and a full refresh change at least one of the compared
   columns. #}
{% macro is_current_basket_of_session(baskets, sessions) -%}
    {{ baskets }}.session_id = {{ sessions }}.session_id
    and {{ baskets }}.assigned_batch_id = {{ sessions }}.assigned_batch_id
    and {{ baskets }}.event_count = {{ sessions }}.event_count
    and {{ baskets }}.ended_at = {{ sessions }}.ended_at
    and {{ baskets }}.basket_rule = '{{ basket_rule() }}'
{%- endmacro %}

{# Number of parts in which a full refresh makes the baskets, one statement after another: the lists of items are made
   in memory, and those of ten million events need more than 2 GB. #}
{% macro basket_parts() -%}{{ return(8) }}{%- endmacro %}

{# Query for the baskets of new sessions: in a full refresh those of one part of the sessions, else those of all. #}
{% macro new_baskets(part) -%}
{%- set parts = 1 if is_incremental() else basket_parts() -%}
with sessions_without_basket as (
    -- sessions of people, not of bots, for whose present events there is no basket yet
    select sessions.session_id, sessions.assigned_batch_id, sessions.event_count, sessions.ended_at
    from {{ ref('session_totals') }} as sessions
    anti join {{ ref('bot_visitors') }} as bots on sessions.visitor_id = bots.visitor_id
    {% if is_incremental() -%}
    anti join {{ this }} as known_baskets
        on {{ is_current_basket_of_session('known_baskets', 'sessions') }} and known_baskets.is_live
    {% endif -%}
    where {{ is_in_part('sessions.session_id', part, parts) }}
),

item_times_by_session as (
    -- the times at which each session last viewed, and last bought, each of its items
    select
        items.session_id,
        items.item_id,
        max(items.event_at) filter (where {{ is_basket_event('viewed') }}) as viewed_at,
        max(items.event_at) filter (where {{ is_basket_event('bought') }}) as bought_at
    from {{ ref('session_items') }} as items
    semi join sessions_without_basket
        on
            items.session_id = sessions_without_basket.session_id
            and items.assigned_batch_id = sessions_without_basket.assigned_batch_id
    where
        ({{ is_basket_event('viewed') }} or {{ is_basket_event('bought') }})
        and {{ is_in_part('items.session_id', part, parts) }}
    group by items.session_id, items.item_id
),

baskets_of_sessions as (
    select
        session_id,
        {{ latest_items('viewed_at', var('together_items_per_session')) }} as viewed_items,
        {{ latest_items('bought_at', var('together_items_per_session')) }} as bought_items
    from item_times_by_session
    group by session_id
)

-- A session that viewed and bought nothing has a row too; else the next build would take the session for a new one.
select
    sessions_without_basket.session_id,
    sessions_without_basket.assigned_batch_id,
    sessions_without_basket.event_count,
    sessions_without_basket.ended_at,
    baskets_of_sessions.viewed_items,
    baskets_of_sessions.bought_items,
    '{{ basket_rule() }}' as basket_rule,
    true as is_live,
    false as is_counted
from sessions_without_basket
left join baskets_of_sessions on sessions_without_basket.session_id = baskets_of_sessions.session_id
{%- endmacro %}

{# Statement by which a full refresh adds the baskets of one more part of the sessions. #}
{% macro add_baskets(part) -%}
    {% if execute and not is_incremental() %}insert into {{ this }} {{ new_baskets(part) }}{% endif %}
{%- endmacro %}

{# Statement that marks the baskets of sessions that have changed, are gone, or have turned out to be a bot's. The
   basket stays until pair_counts has subtracted its pairs. #}
{% macro mark_outdated_baskets(baskets) -%}
    {% if is_incremental() %}
    update {{ baskets }} as baskets set is_live = false
    where
        baskets.is_live and not exists (
            select 1 from {{ ref('session_totals') }} as sessions
            anti join {{ ref('bot_visitors') }} as bots on sessions.visitor_id = bots.visitor_id
            where {{ is_current_basket_of_session('baskets', 'sessions') }}
        )
    {% endif %}
{%- endmacro %}

{# Statement that empties pair_counts when all baskets are made anew: the pairs of the old baskets must not stay if the
   run is killed before pair_counts is made anew too. #}
{% macro clear_pair_counts() -%}
    {% if execute and not is_incremental() %}
    {% set pairs = adapter.get_relation(this.database, this.schema, 'pair_counts') %}
    {% if pairs %}delete from {{ pairs }}{% endif %}
    {% endif %}
{%- endmacro %}

{# Aggregate that lists the `max_items` items with the latest times, in the order of their ids. Of items with equal
   times those with lower ids are listed. The column `time_column` has the times; the list is null if no item has a
   time. #}
{% macro latest_items(time_column, max_items) -%}
    {{ return(adapter.dispatch('latest_items', 'nextmart')(time_column, max_items)) }}
{%- endmacro %}

{% macro default__latest_items(time_column, max_items) -%}
    list_sort((
        list(item_id order by {{ time_column }} desc, item_id) filter (where {{ time_column }} is not null)
    )[1:{{ max_items }}])
{%- endmacro %}
