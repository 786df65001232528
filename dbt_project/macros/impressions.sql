{# SQL that reads impressions; `nextmart load` uses it too. #}

{# Text as the rank of an item, a whole number from 1; null if it is none. #}
{% macro to_rank(column) -%}
    case
        when {{ try_number(column) }} between 1 and 1000000 and {{ try_number(column) }} = floor({{ try_number(column) }})
            then cast({{ try_number(column) }} as integer)
    end
{%- endmacro %}

{# Text as a propensity, a number above 0 and at most 1; null if it is none. #}
{% macro to_propensity(column) -%}
    case when {{ try_number(column) }} > 0 and {{ try_number(column) }} <= 1 then {{ try_number(column) }} end
{%- endmacro %}

{# The columns of raw.impressions, as texts, that must be equal in two rows for the rows to say the same. #}
{% macro impression_content() -%}
    {{ return([
        'visitor_id::varchar', 'placement::varchar', 'item_id::varchar', 'rank::varchar', 'shown_at::varchar',
        'propensity::varchar'
    ]) }}
{%- endmacro %}

{# The order of the rows of one impression, of which the first to arrive is kept: a total order of different rows. #}
{% macro first_impression_first() -%}
    loaded_at, visitor_id, placement, item_id, rank nulls last, shown_at, propensity nulls last
{%- endmacro %}
