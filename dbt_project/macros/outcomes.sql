{# Macros for outcomes: days in UTC, the types of events that count as outcomes, and the interval of a rate. #}

{# The day in UTC of an instant, whatever time zone the connection has. #}
{% macro day_of(instant) -%}
    {{ return(adapter.dispatch('day_of', 'nextmart')(instant)) }}
{%- endmacro %}

{% macro default__day_of(instant) -%}
    cast(({{ instant }}) at time zone 'UTC' as date)
{%- endmacro %}

{# The instant at which a day begins in UTC. #}
{% macro start_of_day(day) -%}
    {{ return(adapter.dispatch('start_of_day', 'nextmart')(day)) }}
{%- endmacro %}

{% macro default__start_of_day(day) -%}
    cast(({{ day }}) as timestamp) at time zone 'UTC'
{%- endmacro %}

{# SQL, for a select list, that makes a row for each day from the first to the last one, both included. #}
{% macro unnested_days(first_day, last_day) -%}
    {{ return(adapter.dispatch('unnested_days', 'nextmart')(first_day, last_day)) }}
{%- endmacro %}

{% macro default__unnested_days(first_day, last_day) -%}
    cast(unnest(generate_series(
        cast({{ first_day }} as timestamp), cast({{ last_day }} as timestamp), interval '24 hours'
    )) as date)
{%- endmacro %}

{# The interval after an item was shown in which an event counts as an outcome: `outcome_window_days` of 24 hours. #}
{% macro outcome_window() -%}
    {{ interval_of_hours(24 * var('outcome_window_days')) }}
{%- endmacro %}

{# Condition that the event type in a column counts as an outcome: it is one of `viewed_event_types` or
   `bought_event_types`. #}
{% macro is_outcome_event_type(column) -%}
    ({{ is_event_type_of_basket_kind('viewed', column) }} or {{ is_event_type_of_basket_kind('bought', column) }})
{%- endmacro %}

{# Query for the rows of the table outcomes. The query that uses the macro must have a CTE `list_place_counts_by_day`,
   with the numbers of places and visitors by day, placement, model, arm and rank. Each of its rows is combined with each
   event type in the relation `outcome_events`. The relation `followed_list_place_counts` says how many of the places
   were followed by an event of the type, the relation `event_counts` how many events there were and their revenue; both
   may be one relation. Where they have no row, the count is 0. #}
{% macro outcome_rows(outcome_events, followed_list_place_counts, event_counts) -%}
select
    list_place_counts_by_day.day,
    list_place_counts_by_day.placement,
    list_place_counts_by_day.model,
    list_place_counts_by_day.arm,
    list_place_counts_by_day.rank,
    event_types.event_type,
    list_place_counts_by_day.places,
    list_place_counts_by_day.visitors,
    coalesce({{ followed_list_place_counts }}.followed, 0) as followed,
    coalesce({{ event_counts }}.events, 0) as events,
    coalesce({{ event_counts }}.priced_events, 0) as priced_events,
    coalesce({{ event_counts }}.revenue, 0) as revenue
from list_place_counts_by_day
cross join (select distinct event_type from {{ outcome_events }}) as event_types
{% for counts in [followed_list_place_counts, event_counts] | unique -%}
left join {{ counts }}
    on
        list_place_counts_by_day.day = {{ counts }}.day and list_place_counts_by_day.placement = {{ counts }}.placement
        and list_place_counts_by_day.model = {{ counts }}.model and list_place_counts_by_day.arm = {{ counts }}.arm
        and list_place_counts_by_day.rank = {{ counts }}.rank
        and event_types.event_type = {{ counts }}.event_type
{% endfor -%}
{%- endmacro %}

{# An end of the 95 % interval of a rate, by Wilson's score (E. B. Wilson, Probable Inference, the Law of Succession,
   and Statistical Inference, Journal of the American Statistical Association 22, 1927). A rate p is in
   the interval if the observed rate differs from p by at most 1.96 standard errors, computed from p. `sign` is - for the
   lower end, + for the upper one. #}
{% macro wilson_bound(successes, trials, sign) -%}
    {%- set z_squared = '3.841458820694124' -%}
    (
        ({{ successes }} + {{ z_squared }} / 2) {{ sign }} sqrt(
            {{ z_squared }}
            * ({{ successes }} * (1.0 - {{ successes }} / cast({{ trials }} as double)) + {{ z_squared }} / 4)
        )
    ) / ({{ trials }} + {{ z_squared }})
{%- endmacro %}
