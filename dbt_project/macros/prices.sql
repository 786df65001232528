{# The price that a text states, as a number. The text may have a currency before or behind the number, a decimal point
   or comma, and thousands set apart by the other sign, blanks or apostrophes. Null if the text is no price, or if it
   can be read in two ways: `1,299` is 1299 in English and 1.299 in German. The dbt var `price_decimal_sign` says which
   sign is decimal in such texts. Without it, `1.299` is read as programs write numbers, and `€1.299` is null. #}
{% macro to_price(column) -%}
    {{ return(adapter.dispatch('to_price', 'nextmart')(column, var('price_decimal_sign'))) }}
{%- endmacro %}

{% macro default__to_price(column, decimal_sign) -%}
    {%- if decimal_sign not in [none, '.', ','] -%}
        {%- do exceptions.raise_compiler_error(
            "price_decimal_sign: '" ~ decimal_sign ~ "' is neither '.' nor ',' nor null") -%}
    {%- endif -%}
    {#- a currency is a sign, perhaps with a country's letters (US$), an ISO 4217 code (USD), or a word (euros) -#}
    {%- set currency = "(?:[a-z]{0,2}\\p{Sc}(?:us|ca|au|nz)?|" ~ currency_regex() ~ ")[\\s\\p{Z}]*" -%}
    {%- set number = "regexp_replace(" ~ blank_as_null(column) ~ ", '(?i)^(-?)(?:" ~ currency ~ "){0,2}"
        ~ "(-?[0-9.,][0-9.,''’\\s\\p{Z}]*?)(?:[.,][-–—]{1,2})?[\\s\\p{Z}]*(?:" ~ currency ~ "){0,2}$', '\\1\\2')" -%}
    case
        -- numbers as programs write them are tested first, because they are the most frequent and the fastest to read
        when {{ default__try_number(column) }} is not null
            {% if decimal_sign == ',' -%}
            and not regexp_full_match({{ blank_as_null(column) }}, '-?[1-9][0-9]{0,2}[.][0-9]{3}')
            {% endif -%}
            then {{ default__try_number(column) }}
        -- the list of one element gives the number a name in the lambda, so that the slow regexp_replace runs once
        else list_transform([{{ number }}], lambda number: case
            when regexp_full_match(number, '-?[1-9][0-9]{0,2}[.,][0-9]{3}') then
                {% if decimal_sign is none %}null
                {% elif decimal_sign == '.' %}{{ default__try_number("replace(number, ',', '')") }}
                {% else %}{{ default__try_number("replace(replace(number, '.', ''), ',', '.')") }}
                {% endif %}
            when regexp_full_match(number, '-?([0-9]+[.,]?[0-9]*|[.,][0-9]+)')
                then {{ default__try_number("replace(number, ',', '.')") }}
            -- commas divide thousands, as in 1,299.00, or lakhs, as in 1,29,900
            when regexp_full_match(
                number, '-?([1-9][0-9]{0,2}(,[0-9]{3})+|[1-9][0-9]?(,[0-9]{2})+,[0-9]{3})([.][0-9]*)?'
            )
                then {{ default__try_number("replace(number, ',', '')") }}
            when regexp_full_match(number, '-?[1-9][0-9]{0,2}([.][0-9]{3})+(,[0-9]*)?')
                then {{ default__try_number("replace(replace(number, '.', ''), ',', '.')") }}
            when regexp_full_match(number, '-?[1-9][0-9]{0,2}([\s\p{Z}''’][0-9]{3})+([.,][0-9]*)?')
                then {{ default__try_number("replace(regexp_replace(number, '[^0-9.,-]', '', 'g'), ',', '.')") }}
        end)[1]
    end
{%- endmacro %}

{# The currencies that to_price knows, as alternatives of a regular expression: the codes of ISO 4217, and words that
   price tags carry. A code that is an English word, such as ALL, counts only in capital letters. #}
{% macro currency_regex() -%}
    {%- set codes = "
        aed afn amd aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd btn bwp byn bzd cad cdf chf clp
        cny crc cve czk djf dkk dop dzd egp ern etb eur fjd fkp gbp ghs gip gmd gnf gtq gyd hkd hnl htg huf idr ils
        inr iqd irr isk jmd jod jpy kes kgs khr kmf kpw krw kwd kyd kzt lbp lkr lrd lsl lyd mdl mga mkd mmk mnt mru
        mur mvr mwk mxn myr mzn ngn nio nok npr nzd omr pab pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sdg
        sek sgd shp sle sos srd ssp stn syp szl thb tjs tmt tnd ttd twd tzs uah ugx usd uyu uzs ves vnd vuv wst xaf
        xcd xcg xof xpf yer zar zmw zwg
        euros? kr[.]? kč kc zł zl fr[.]? sfr[.]? rs[.]? ft lei лв[.]? руб[.]? грн[.]?
    " -%}
    {{ codes.split() | join('|') }}|(?-i:ALL|COP|CUP|GEL|LAK|MAD|MOP|NAD|PEN|TOP|TRY)
{%- endmacro %}
