{# Macros for baskets. A basket is the set of items that a session viewed, or bought; pairs of its items are counted. #}

{# Condition that a row of session_items, under the alias `items`, puts its item into a basket of a kind. `basket_kind`
   is viewed or bought. #}
{% macro is_basket_event(basket_kind) -%}
    {{ is_event_type_of_basket_kind(basket_kind, 'items.event_type') }}
{%- endmacro %}

{# Condition that the event type in a column puts an item into a basket of a kind, viewed or bought: it is in the dbt
   var `viewed_event_types` or `bought_event_types`. An empty var means every type. #}
{% macro is_event_type_of_basket_kind(basket_kind, column) -%}
    {%- set event_types = var(basket_kind ~ '_event_types') -%}
    {% if event_types %}{{ column }} in ({{ text_literals(event_types) }}){% else %}true{% endif %}
{%- endmacro %}

{# The settings by which baskets are made, as one text. After a change of these settings, all baskets are made anew. #}
{% macro basket_rule() -%}
    {%- set basket_settings = [var('viewed_event_types') | sort, var('bought_event_types') | sort,
        var('together_items_per_session')] -%}
    {{ tojson(basket_settings) | replace("'", "''") }}
{%- endmacro %}

{# Condition that a basket is that of a session and up to date: it was made of the session's present events, by the
   present settings. A late event, a deleted event and a full refresh change at least one of the compared columns.
   `baskets` and `sessions` are aliases of relations. #}
{% macro is_current_basket_of_session(baskets, sessions) -%}
    {{ baskets }}.session_id = {{ sessions }}.session_id
    and {{ baskets }}.assigned_batch_id = {{ sessions }}.assigned_batch_id
    and {{ baskets }}.event_count = {{ sessions }}.event_count
    and {{ baskets }}.ended_at = {{ sessions }}.ended_at
    and {{ baskets }}.basket_rule = '{{ basket_rule() }}'
{%- endmacro %}

{# Number of parts into which a full refresh divides the sessions, to make the baskets of one part after another. The
   lists of items are made in memory, and all lists of ten million events need more than 2 GB. #}
{% macro basket_part_count() -%}{{ return(8) }}{%- endmacro %}

{# Query for the baskets of sessions that have no up-to-date basket. In a full refresh, only the sessions of the part
   `part_number` count. #}
{% macro new_baskets(part_number) -%}
{%- set part_count = 1 if is_incremental() else basket_part_count() -%}
with sessions_without_basket as (
    -- sessions of people, not of bots, that have no basket of their present events yet
    select sessions.session_id, sessions.assigned_batch_id, sessions.event_count, sessions.ended_at
    from {{ ref('session_totals') }} as sessions
    anti join {{ ref('bot_visitors') }} as bots on sessions.visitor_id = bots.visitor_id
    {% if is_incremental() -%}
    anti join {{ this }} as known_baskets
        on {{ is_current_basket_of_session('known_baskets', 'sessions') }} and known_baskets.is_live
    {% endif -%}
    where {{ is_in_part('sessions.session_id', part_number, part_count) }}
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
        and {{ is_in_part('items.session_id', part_number, part_count) }}
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

-- A session that viewed and bought nothing has a row too; without it, the next build would take the session for new.
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
{% macro add_baskets(part_number) -%}
    {% if execute and not is_incremental() %}insert into {{ this }} {{ new_baskets(part_number) }}{% endif %}
{%- endmacro %}

{# Statement that marks a basket as outdated (is_live is false) if its session has changed, is gone, or has turned out
   to be a bot's. The basket stays until pair_counts has subtracted its pairs. #}
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

{# Statement that empties pair_counts in a full refresh, when all baskets are made anew. Otherwise the pairs of the old
   baskets would stay if the run were killed before pair_counts is made anew too. #}
{% macro clear_pair_counts() -%}
    {% if execute and not is_incremental() %}
    {% set pair_counts_table = adapter.get_relation(this.database, this.schema, 'pair_counts') %}
    {% if pair_counts_table %}delete from {{ pair_counts_table }}{% endif %}
    {% endif %}
{%- endmacro %}

{# Aggregate that returns a list of at most `max_items` items: those with the latest times in the column `time_column`.
   If times are equal, lower item_ids come before higher ones. The list is in the order of the item_ids; it is null if
   no item has a time. #}
{% macro latest_items(time_column, max_items) -%}
    {{ return(adapter.dispatch('latest_items', 'nextmart')(time_column, max_items)) }}
{%- endmacro %}

{% macro default__latest_items(time_column, max_items) -%}
    list_sort((
        list(item_id order by {{ time_column }} desc, item_id) filter (where {{ time_column }} is not null)
    )[1:{{ max_items }}])
{%- endmacro %}
