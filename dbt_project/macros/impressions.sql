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

{# The columns of raw.impressions, as texts, by which two rows are compared: if all of them are equal, the rows say the
   same. #}
{% macro compared_impression_columns() -%}
    {{ return([
        'visitor_id::varchar', 'placement::varchar', 'item_id::varchar', 'rank::varchar', 'shown_at::varchar',
        'propensity::varchar'
    ]) }}
{%- endmacro %}

{# Terms of ORDER BY for the rows of one impression: the row that arrived first, which is kept, comes first. No two
   different rows are equal in this order. #}
{% macro impression_arrival_sort_keys() -%}
    loaded_at, visitor_id, placement, item_id, rank nulls last, shown_at, propensity nulls last
{%- endmacro %}
