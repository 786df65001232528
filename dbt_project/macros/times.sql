{# The instant that a text states; null if the text is no time, or a time that can be read in two ways, such as
   01/02/2021. Two forms are read. An ISO 8601 time begins with the year, with or without signs between its parts; it is
   in UTC if it names no zone. A zone's abbreviation other than UTC and GMT is not read, because most stand for several
   zones: DuckDB takes BST, British summer time, for the time of Bangladesh. Unix time is a number of seconds,
   milliseconds, microseconds or nanoseconds; the size of the number tells which. A number that begins with 19 or 20 is
   no Unix time if it has eight digits (a day, such as 20210131) or fourteen (a second): as Unix time, these would mean
   the year 1970 or years after 2570. #}
{% macro to_timestamp_utc(column) -%}
    {{ return(adapter.dispatch('to_timestamp_utc', 'nextmart')(column)) }}
{%- endmacro %}

{% macro default__to_timestamp_utc(column) -%}
    {%- set with_seconds =
        "regexp_replace(" ~ column ~ ", '^([0-9]{8}[Tt ]?[0-9]{4})($|[^0-9])', '\\100\\2')" -%}
    {%- set iso = "replace(regexp_replace(" ~ with_seconds ~
        ", '^([0-9]{4})([0-9]{2})([0-9]{2})[Tt ]?([0-9]{2})([0-9]{2})([0-9]{2})', '\\1-\\2-\\3 \\4:\\5:\\6'), ',', '.')"
    -%}
    {#- DuckDB reads a zone only right after the time, and only if the time has seconds. Exports such as Shopify's have
        a blank before the zone. -#}
    {%- set zone = "' +([+-][0-9:]+|[Zz])$', '\\1'" -%}
    {%- set zoned = "regexp_replace(regexp_replace(replace(" ~ column ~ ", ',', '.'), " ~ zone ~
        "), '^([^:]+:[0-9]{2})([+-][0-9:]+|[Zz])$', '\\1:00\\2')" -%}
    {%- set has_zone_abbreviation = "regexp_matches(" ~ column ~ ", '(?i) [a-z]{3,4}$')"
        ~ " and not regexp_matches(" ~ column ~ ", '(?i)(utc|gmt)$')" -%}
    {%- set integer = "try_cast(split_part(" ~ column ~ ", '.', 1) as bigint)" -%}
    {%- set number = "try_cast(" ~ column ~ " as double)" -%}
    case
        -- times without a zone have a cast of their own, because of a fault of DuckDB 1.5: a cast that reads both kinds
        -- applies the zone of one row to the following rows that name no zone
        when regexp_full_match({{ column }}, '[0-9]{4}[-/][0-9]+[-/][0-9]+([ Tt]+[0-9:]*([.,][0-9]*)?)?')
            then try_cast(replace({{ column }}, ',', '.') as timestamp) at time zone 'UTC'
        when regexp_full_match({{ column }}, '[0-9]{4}[-/][0-9].*') then
            case
                when {{ has_zone_abbreviation }} then null
                else try_cast({{ zoned }} as timestamptz)
            end
        when regexp_full_match({{ column }}, '(19|20)[0-9]{6}([.]0*)?')
            then try_strptime(left({{ column }}, 8), '%Y%m%d') at time zone 'UTC'
        when regexp_full_match({{ column }}, '(19|20)[0-9]{6}([Tt ][0-9]{4}([0-9]{2})?|[0-9]{6})([.,][0-9]*)?')
            then try_cast({{ iso }} as timestamp) at time zone 'UTC'
        when regexp_full_match({{ column }}, '(19|20)[0-9]{6}[Tt ]?[0-9]{4}.*([Zz]|[+-][0-9:]+)')
            then try_cast(regexp_replace({{ iso }}, {{ zone }}) as timestamptz)
        -- Unix time as a whole number, perhaps with a .0 that programs add to floating-point numbers
        when regexp_full_match({{ column }}, '-?[0-9]{5,19}([.]0*)?') then
            case
                when {{ integer }} between -99999999999 and 99999999999 then make_timestamptz({{ integer }} * 1000000)
                when {{ integer }} between -99999999999999 and 99999999999999
                    then make_timestamptz({{ integer }} * 1000)
                when {{ integer }} between -99999999999999999 and 99999999999999999
                    then make_timestamptz({{ integer }})
                when {{ integer }} between -8999999999999999999 and 8999999999999999999
                    then make_timestamptz({{ integer }} // 1000)
            end
        -- Unix time with a fraction or with an exponent
        when regexp_full_match({{ column }}, '-?([0-9]{5,17}[.][0-9]+|[0-9]([.][0-9]*)?[eE][+]?[0-9]{1,2})') then
            case
                when abs({{ number }}) < 1e11 then make_timestamptz(cast({{ number }} * 1e6 as bigint))
                when abs({{ number }}) < 1e14 then make_timestamptz(cast({{ number }} * 1e3 as bigint))
                when abs({{ number }}) < 1e17 then make_timestamptz(cast({{ number }} as bigint))
                when abs({{ number }}) < 9e18 then make_timestamptz(cast({{ number }} / 1e3 as bigint))
            end
        -- PostgreSQL's words for times
        when {{ column }} in ('infinity', '-infinity', 'epoch') then try_cast({{ column }} as timestamptz)
    end
{%- endmacro %}
