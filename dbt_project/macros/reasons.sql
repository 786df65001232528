{# SQL of the reason, in words, why an item is in a visitor's list. Both arguments are aliases of relations: `list_rows`
   has the rows of lists, and `reason_items` the rows of the catalogue that are joined to them by reason_item_id. #}
{% macro reason_in_words(list_rows, reason_items) -%}
    case
        when {{ list_rows }}.reason_item_id is not null
            then 'because of ' || coalesce({{ reason_items }}.title, {{ list_rows }}.reason_item_id)
        when {{ list_rows }}.source = 'popularity' then 'popular with other visitors'
        when {{ list_rows }}.source = 'pin' then 'chosen for everybody'
    end
{%- endmacro %}
