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

{# SQL for a select list that makes a row for each day from the first to the last one, both included, and returns the
   day. #}
{% macro unnested_days(first_day, last_day) -%}
    {{ return(adapter.dispatch('unnested_days', 'nextmart')(first_day, last_day)) }}
{%- endmacro %}

{% macro default__unnested_days(first_day, last_day) -%}
    cast(unnest(generate_series(
        cast({{ first_day }} as timestamp), cast({{ last_day }} as timestamp), interval '24 hours'
    )) as date)
{%- endmacro %}

{# The interval after a showing in which an event counts as its outcome: `outcome_window_days` of 24 hours. #}
{% macro outcome_window() -%}
    {{ hours(24 * var('outcome_window_days')) }}
{%- endmacro %}

{# Condition that the event type in a column counts as an outcome: it is one of `viewed_event_types` or
   `bought_event_types`. #}
{% macro is_outcome_event_type(column) -%}
    ({{ is_event_type_of_kind('viewed', column) }} or {{ is_event_type_of_kind('bought', column) }})
{%- endmacro %}

{# Query of the rows of outcomes: each row of the CTE `list_days` with each type that is in the relation
   `outcome_events`, and the counts of those that have any. `followed_counts` and `event_counts` name the relations of
   the counts, by day, place and type; they may be one. #}
{% macro outcome_rows(outcome_events, followed_counts, event_counts) -%}
select
    list_days.day,
    list_days.placement,
    list_days.model,
    list_days.arm,
    list_days.rank,
    event_types.event_type,
    list_days.places,
    list_days.visitors,
    coalesce({{ followed_counts }}.followed, 0) as followed,
    coalesce({{ event_counts }}.events, 0) as events,
    coalesce({{ event_counts }}.priced_events, 0) as priced_events,
    coalesce({{ event_counts }}.revenue, 0) as revenue
from list_days
cross join (select distinct event_type from {{ outcome_events }}) as event_types
{% for counts in [followed_counts, event_counts] | unique -%}
left join {{ counts }}
    on
        list_days.day = {{ counts }}.day and list_days.placement = {{ counts }}.placement
        and list_days.model = {{ counts }}.model and list_days.arm = {{ counts }}.arm and list_days.rank = {{ counts }}.rank
        and event_types.event_type = {{ counts }}.event_type
{% endfor -%}
{%- endmacro %}

{# An end of the 95 % interval of a rate, by Wilson's score (E. B. Wilson, Probable Inference, the Law of Succession,
   and Statistical Inference, Journal of the American Statistical Association 22, 1927). The interval holds each rate
   p from which the observed rate differs by at most 1.96 standard errors, if p is true. `sign` is - for the lower
   end, + for the upper one. #}
{% macro wilson_bound(successes, trials, sign) -%}
    {%- set z2 = '3.841458820694124' -%}
    (
        ({{ successes }} + {{ z2 }} / 2) {{ sign }} sqrt(
            {{ z2 }} * ({{ successes }} * (1.0 - {{ successes }} / cast({{ trials }} as double)) + {{ z2 }} / 4)
        )
    ) / ({{ trials }} + {{ z2 }})
{%- endmacro %}
