{# Macros of outcomes: days in UTC, the types of events that count, and the interval of a rate. #}

{# The day in UTC of an instant, whatever the zone of the connection is. #}
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

{# One row for each day from the first to the last one, both included. #}
{% macro unnested_days(first_day, last_day) -%}
    {{ return(adapter.dispatch('unnested_days', 'nextmart')(first_day, last_day)) }}
{%- endmacro %}

{% macro default__unnested_days(first_day, last_day) -%}
    cast(unnest(generate_series(
        cast({{ first_day }} as timestamp), cast({{ last_day }} as timestamp), interval '24 hours'
    )) as date)
{%- endmacro %}

{# The time in which an event counts as an outcome. #}
{% macro outcome_window() -%}
    {{ hours(24 * var('outcome_window_days')) }}
{%- endmacro %}

{# Condition that an event's type counts as an outcome: what counts as viewed or as bought for `viewed_together` and
   `bought_together`. #}
{% macro is_outcome_type(column) -%}
    ({{ is_type_of('viewed', column) }} or {{ is_type_of('bought', column) }})
{%- endmacro %}

{# A bound of the 95 % interval of a rate, by Wilson's score (E. B. Wilson, Probable Inference, the Law of Succession, and
   Statistical Inference, Journal of the American Statistical Association 22, 1927): the rates from which the observed
   one is at most 1.96 standard errors away, of the standard error that the rate itself has. `sign` is - or +. #}
{% macro wilson_bound(successes, trials, sign) -%}
    {%- set z2 = '3.841458820694124' -%}
    (
        ({{ successes }} + {{ z2 }} / 2) {{ sign }} sqrt(
            {{ z2 }} * ({{ successes }} * (1.0 - {{ successes }} / cast({{ trials }} as double)) + {{ z2 }} / 4)
        )
    ) / ({{ trials }} + {{ z2 }})
{%- endmacro %}
