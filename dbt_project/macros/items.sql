{# Macros for the rows of the catalogue and of visitors: when a row counts from, and which of an item's or a visitor's
   rows is the latest. The loader renders them for the rows of the raw tables, whose values it gives as SQL
   expressions. #}

{# Instant from which a row of an item or a visitor counts: the instant that the row states, unless the row states none,
   or one that lies after the row's arrival. #}
{% macro updated_at_or_arrival() -%}
    case
        when stated_at > loaded_at + {{ minutes(var('clock_skew_minutes')) }} then loaded_at
        else coalesce(stated_at, loaded_at)
    end
{%- endmacro %}

{# The times that decide which row is the latest. #}
{% macro latest_times_first(updated_at) -%}
    {{ updated_at }} desc nulls last, loaded_at desc nulls last, stated_at desc nulls last
{%- endmacro %}

{# Order in which the first of a visitor's rows is the one that staging takes. The attributes only decide between rows
   of equal times. #}
{% macro latest_visitor_first(updated_at='updated_at', attributes='stated_attributes') -%}
    {{ latest_times_first(updated_at) }}, {{ attributes }} nulls last
{%- endmacro %}

{# Order in which the first of an item's rows is the one that staging takes. The columns after the three times only
   decide between rows of equal times. #}
{% macro latest_item_first(
    updated_at='updated_at',
    price='price',
    available='available',
    unread_price='unread_price',
    unread_available='unread_available',
    attributes='stated_attributes'
) -%}
    {{ latest_times_first(updated_at) }},
    title nulls last, brand nulls last, category nulls last, description nulls last,
    {{ price }} nulls last, {{ available }}, {{ unread_price }} nulls last, {{ unread_available }} nulls last,
    {{ attributes }} nulls last
{%- endmacro %}
