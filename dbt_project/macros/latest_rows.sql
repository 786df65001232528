{# Macros by which dbt's models find the latest row of each item and of each visitor: one gives the time of a row, the
   others the order of rows. `nextmart load` uses them too, with SQL expressions over the columns of the raw tables. #}

{# The time from which a row of an item or a visitor is valid: the row's own updated_at, or its loaded_at if updated_at
   is missing or lies too far after loaded_at. #}
{% macro updated_at_or_arrival() -%}
    case
        when stated_at > loaded_at + {{ interval_of_minutes(var('clock_skew_minutes')) }} then loaded_at
        else coalesce(stated_at, loaded_at)
    end
{%- endmacro %}

{# Sort keys: the three times that decide which row of an item or a visitor is the latest. The latest row comes first.
   #}
{% macro latest_row_time_sort_keys(updated_at) -%}
    {{ updated_at }} desc nulls last, loaded_at desc nulls last, stated_at desc nulls last
{%- endmacro %}

{# Sort keys for the rows of one visitor: the latest row comes first, and is the one that stg_visitors keeps. The
   attributes only decide between rows of equal times. #}
{% macro latest_visitor_row_sort_keys(updated_at='updated_at', attributes='stated_attributes') -%}
    {{ latest_row_time_sort_keys(updated_at) }}, {{ attributes }} nulls last
{%- endmacro %}

{# Sort keys for the rows of one item: the latest row comes first, and is the one that stg_items keeps. The columns
   after the three times only decide between rows of equal times. #}
{% macro latest_item_row_sort_keys(
    updated_at='updated_at',
    price='price',
    available='available',
    unread_price='unread_price',
    unread_available='unread_available',
    attributes='stated_attributes'
) -%}
    {{ latest_row_time_sort_keys(updated_at) }},
    title nulls last, brand nulls last, category nulls last, description nulls last,
    {{ price }} nulls last, {{ available }}, {{ unread_price }} nulls last, {{ unread_available }} nulls last,
    {{ attributes }} nulls last
{%- endmacro %}
