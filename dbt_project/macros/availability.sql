{# A word for availability in a normal form, in which it is compared: lower case, without blanks, hyphens, underscores
   and schema.org's address. #}
{% macro normalized_availability_word(column) -%}
    {{ return(adapter.dispatch('normalized_availability_word', 'nextmart')(column)) }}
{%- endmacro %}

{% macro default__normalized_availability_word(column) -%}
    regexp_replace(regexp_replace(
        lower({{ column }}), '^\s*(https?://(www[.])?schema[.]org/|schema:)', ''), '[\s\p{Z}_-]+', '', 'g')
{%- endmacro %}

{# Whether a text says that its item may be recommended; true, false or null. The text is a number in stock, of which
   those above 0 mean true, or a word, such as `out of stock`. Null if the text is neither a number nor a known word. The
   dbt var `availability_words` comes before all else. #}
{% macro to_availability(column) -%}
    {{ return(adapter.dispatch('to_availability', 'nextmart')(column, var('availability_words'))) }}
{%- endmacro %}

{% macro default__to_availability(column, availability_words) -%}
    {#- the words of schema.org, Google, Meta, Shopify, WooCommerce and Magento, in English and German. An item that can
        be ordered before it is in stock is available. Shopify's inventory policy `continue` sells an item without
        stock; its opposite `deny` is no word here, because most items that are in stock have it -#}
    {%- set available_words = "
        true t yes y on wahr ja j
        available instock instoreonly onlineonly limitedavailability limitedstock lowstock fewleft
        preorder presale backorder onbackorder backordered madetoorder availablefororder
        active enabled publish published visible continue
        verfügbar verfuegbar lieferbar sofortlieferbar auflager vorrätig vorraetig vorbestellbar aktiv
    ".split() -%}
    {%- set unavailable_words = "
        false f no n off falsch nein
        unavailable notavailable outofstock notinstock nostock oos soldout sold discontinued reserved expired
        temporarilyunavailable currentlyunavailable permanentlyunavailable temporarilyoutofstock endoflife
        inactive disabled draft autodraft pending private future trash trashed deleted removed withdrawn archived
        unlisted unpublished hidden
        nichtverfügbar nichtverfuegbar nichtlieferbar nichtauflager nichtvorrätig nichtvorraetig ausverkauft
        vergriffen inaktiv
    ".split() -%}
    case
        {%- for word, meaning in (availability_words or {}).items() %}
        {%- if meaning is not boolean -%}
            {%- do exceptions.raise_compiler_error(
                "availability_words: '" ~ word ~ "' is true or false, not '" ~ meaning ~ "'") -%}
        {%- endif %}
        when {{ default__normalized_availability_word(column) }} = {{ default__normalized_availability_word(text_literals([word | string])) }}
            then {{ 'true' if meaning else 'false' }}
        {%- endfor %}
        when {{ default__try_number(column) }} is not null then {{ default__try_number(column) }} > 0
        when {{ default__normalized_availability_word(column) }} in ({{ text_literals(available_words) }}) then true
        when {{ default__normalized_availability_word(column) }} in ({{ text_literals(unavailable_words) }}) then false
    end
{%- endmacro %}
