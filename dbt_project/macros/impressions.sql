{# Macros that read the columns of raw.impressions; `nextmart load` uses them too. #}

{# The rank of an item, a whole number from 1, from a column of texts; null if a text is no such number. #}
{% macro to_rank(column) -%}
    case
        when {{ try_number(column) }} between 1 and 1000000 and {{ try_number(column) }} = floor({{ try_number(column) }})
            then cast({{ try_number(column) }} as integer)
    end
{%- endmacro %}

{# A propensity, a number above 0 and at most 1, from a column of texts; null if a text is no such number. #}
{% macro to_propensity(column) -%}
    case when {{ try_number(column) }} > 0 and {{ try_number(column) }} <= 1 then {{ try_number(column) }} end
{%- endmacro %}

{# The columns of raw.impressions by which two rows are compared, as SQL expressions of texts. Two rows that agree in
   all of them are the same impression, if they have no impression_id. #}
{% macro compared_impression_columns() -%}
    {{ return([
        'visitor_id::varchar', 'placement::varchar', 'item_id::varchar', 'rank::varchar', 'shown_at::varchar',
        'propensity::varchar'
    ]) }}
{%- endmacro %}

{# Sort keys for the rows of one impression: the row that arrived first comes first, and is the one that is kept. Two
   rows that differ are never equal in this order. #}
{% macro impression_arrival_sort_keys() -%}
    loaded_at, visitor_id, placement, item_id, rank nulls last, shown_at, propensity nulls last
{%- endmacro %}
