{# SQL of the reason, in words, why an item is in a visitor's list. `recommended` is the alias of the list's rows, and
   `reason_items` that of the catalogue's rows with the item_id `recommended.reason_item_id`. #}
{% macro reason_in_words(recommended, reason_items) -%}
    case
        when {{ recommended }}.reason_item_id is not null
            then 'because of ' || coalesce({{ reason_items }}.title, {{ recommended }}.reason_item_id)
        when {{ recommended }}.source = 'popularity' then 'popular with other visitors'
        when {{ recommended }}.source = 'pin' then 'chosen for everybody'
    end
{%- endmacro %}
