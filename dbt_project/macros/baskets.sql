{# Macros for baskets: the sets of items that a session viewed or bought, whose pairs are counted. #}

{# Condition that an event of session_items, under the alias `items`, puts its item into the basket of a kind: viewed or
   bought. #}
{% macro is_basket_event(kind) -%}
    {{ is_type_of(kind, 'items.event_type') }}
{%- endmacro %}

{# Condition that an event's type is one of those that count as viewed, or as bought; no types mean every type. #}
{% macro is_type_of(kind, column) -%}
    {%- set types = var(kind ~ '_event_types') -%}
    {% if types %}{{ column }} in ({{ text_list(types) }}){% else %}true{% endif %}
{%- endmacro %}

{# The settings by which baskets are made, as text. A basket that was made by another rule is made anew. #}
{% macro basket_rule() -%}
    {%- set rule = [var('viewed_event_types') | sort, var('bought_event_types') | sort,
        var('together_items_per_session')] -%}
    {{ tojson(rule) | replace("'", "''") }}
{%- endmacro %}

{# Condition that a basket was made of a session's present events, by the present settings. `baskets` and `sessions` are
   aliases of relations. A late event, a forgotten one and a full refresh change at least one of these columns. #}
{% macro is_basket_of_session(baskets, sessions) -%}
    {{ baskets }}.session_id = {{ sessions }}.session_id
    and {{ baskets }}.assigned_batch_id = {{ sessions }}.assigned_batch_id
    and {{ baskets }}.event_count = {{ sessions }}.event_count
    and {{ baskets }}.ended_at = {{ sessions }}.ended_at
    and {{ baskets }}.basket_rule = '{{ basket_rule() }}'
{%- endmacro %}

{# Statement that marks the baskets of sessions that have changed, are gone, or have turned out to be a bot's. The
   basket stays until basket_pairs has subtracted its pairs. #}
{% macro mark_outdated_baskets(baskets) -%}
    {% if is_incremental() %}
    update {{ baskets }} as baskets set is_live = false
    where
        baskets.is_live and not exists (
            select 1 from {{ ref('session_totals') }} as sessions
            anti join {{ ref('bot_visitors') }} as bots on sessions.visitor_id = bots.visitor_id
            where {{ is_basket_of_session('baskets', 'sessions') }}
        )
    {% endif %}
{%- endmacro %}

{# Statement that empties basket_pairs when all baskets are made anew: the pairs of the old baskets must not stay if the
   run is killed before basket_pairs is made anew too. #}
{% macro clear_basket_pairs() -%}
    {% if execute and not is_incremental() %}
    {% set pairs = adapter.get_relation(this.database, this.schema, 'basket_pairs') %}
    {% if pairs %}delete from {{ pairs }}{% endif %}
    {% endif %}
{%- endmacro %}

{# Aggregate: the items whose time in the column `at` is latest, at most `count` of them, in the order of their ids. Of
   equal times the item with the lower id comes first. Null if no item has a time. #}
{% macro latest_items(at, count) -%}
    {{ return(adapter.dispatch('latest_items', 'nextmart')(at, count)) }}
{%- endmacro %}

{% macro default__latest_items(at, count) -%}
    list_sort((list(item_id order by {{ at }} desc, item_id) filter (where {{ at }} is not null))[1:{{ count }}])
{%- endmacro %}

{# One row for each element of a list. #}
{% macro unnested(list) -%}
    {{ return(adapter.dispatch('unnested', 'nextmart')(list)) }}
{%- endmacro %}

{% macro default__unnested(list) -%}
    unnest({{ list }})
{%- endmacro %}

{# One row for each element of a list: the element's place, from 1. #}
{% macro unnested_places(list) -%}
    {{ return(adapter.dispatch('unnested_places', 'nextmart')(list)) }}
{%- endmacro %}

{% macro default__unnested_places(list) -%}
    unnest(range(1, len({{ list }}) + 1))
{%- endmacro %}

{# The element of a list at a place, and the part of the list from that place on. #}
{% macro element_at(list, place) -%}
    {{ return(adapter.dispatch('element_at', 'nextmart')(list, place)) }}
{%- endmacro %}

{% macro default__element_at(list, place) -%}
    {{ list }}[{{ place }}]
{%- endmacro %}

{% macro elements_from(list, place) -%}
    {{ return(adapter.dispatch('elements_from', 'nextmart')(list, place)) }}
{%- endmacro %}

{% macro default__elements_from(list, place) -%}
    {{ list }}[{{ place }}:]
{%- endmacro %}
