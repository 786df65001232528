{# Macros that give the time of a row of the catalogue or of visitors, and the order that finds the latest row of an
   item or a visitor. The loader renders them too, with SQL expressions over the columns of the raw tables. #}

{# The time of a row of an item or a visitor: the row's own updated_at or, if that is missing or lies after the row's
   arrival, the row's loaded_at. #}
{% macro updated_at_or_arrival() -%}
    case
        when stated_at > loaded_at + {{ minutes(var('clock_skew_minutes')) }} then loaded_at
        else coalesce(stated_at, loaded_at)
    end
{%- endmacro %}

{# The three times that decide which row of an item or a visitor is the latest, as sort keys. #}
{% macro latest_times_sort_keys(updated_at) -%}
    {{ updated_at }} desc nulls last, loaded_at desc nulls last, stated_at desc nulls last
{%- endmacro %}

{# Sort keys in whose order the first row of a visitor is the row that staging keeps. The attributes only decide between
   rows of equal times. #}
{% macro latest_visitor_row_sort_keys(updated_at='updated_at', attributes='stated_attributes') -%}
    {{ latest_times_sort_keys(updated_at) }}, {{ attributes }} nulls last
{%- endmacro %}

{# Sort keys in whose order the first row of an item is the row that staging keeps. The columns after the three times
   only decide between rows of equal times. #}
{% macro latest_item_row_sort_keys(
    updated_at='updated_at',
    price='price',
    available='available',
    unread_price='unread_price',
    unread_available='unread_available',
    attributes='stated_attributes'
) -%}
    {{ latest_times_sort_keys(updated_at) }},
    title nulls last, brand nulls last, category nulls last, description nulls last,
    {{ price }} nulls last, {{ available }}, {{ unread_price }} nulls last, {{ unread_available }} nulls last,
    {{ attributes }} nulls last
{%- endmacro %}
