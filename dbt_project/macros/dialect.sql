{# What only DuckDB spells this way; another warehouse adds its own `<adapter>__` version here. #}

{% macro try_cast(column, type) -%}
    {{ return(adapter.dispatch('try_cast', 'nextmart')(column, type)) }}
{%- endmacro %}

{% macro default__try_cast(column, type) -%}
    try_cast({{ column }} as {{ type }})
{%- endmacro %}

{# Text to a finite number, or null. #}
{% macro try_number(column) -%}
    {{ return(adapter.dispatch('try_number', 'nextmart')(column)) }}
{%- endmacro %}

{% macro default__try_number(column) -%}
    case when isfinite(try_cast({{ column }} as double)) then try_cast({{ column }} as double) end
{%- endmacro %}

{# Text to an instant: ISO text (without a zone: UTC), or Unix seconds, milli- or microseconds, told by size. #}
{% macro to_timestamp_utc(column) -%}
    {{ return(adapter.dispatch('to_timestamp_utc', 'nextmart')(column)) }}
{%- endmacro %}

{% macro default__to_timestamp_utc(column) -%}
    case
        -- apart from those with a zone: cast together, DuckDB 1.5 lends one row's named zone to the rows after it
        when regexp_full_match({{ column }}, '[0-9]+[-/][0-9]+[-/][0-9]+([ Tt]+[0-9:.]*)?')
            then try_cast({{ column }} as timestamp) at time zone 'UTC'
        when not regexp_full_match({{ column }}, '-?[0-9]{5,}') then try_cast({{ column }} as timestamptz)
        when try_cast({{ column }} as bigint) between -99999999999 and 99999999999
            then make_timestamptz(try_cast({{ column }} as bigint) * 1000000)
        when try_cast({{ column }} as bigint) between -99999999999999 and 99999999999999
            then make_timestamptz(try_cast({{ column }} as bigint) * 1000)
        when try_cast({{ column }} as bigint) between -99999999999999999 and 99999999999999999
            then make_timestamptz(try_cast({{ column }} as bigint))
    end
{%- endmacro %}

{% macro minutes(number) -%}
    interval '{{ number }} minutes'
{%- endmacro %}

{% macro minutes_between(earlier, later) -%}
    {{ return(adapter.dispatch('minutes_between', 'nextmart')(earlier, later)) }}
{%- endmacro %}

{# Whole minutes of elapsed time, not of minute marks that were passed. #}
{% macro default__minutes_between(earlier, later) -%}
    datesub('minute', {{ earlier }}, {{ later }})
{%- endmacro %}

{# A list in a total order, so that equal times never fall back on physical row order. #}
{% macro ordered_list(value, keys) -%}
    {{ return(adapter.dispatch('ordered_list', 'nextmart')(value, keys)) }}
{%- endmacro %}

{% macro default__ordered_list(value, keys) -%}
    list({{ value }} order by {{ keys }})
{%- endmacro %}

{# SHA-256 over length-framed fields: ('ab', 'c') and ('a', 'bc') differ. #}
{% macro framed_hash(columns) -%}
    {{ return(adapter.dispatch('framed_hash', 'nextmart')(columns)) }}
{%- endmacro %}

{% macro default__framed_hash(columns) -%}
    sha256(
        {%- for column in columns %}
        {{ '|| ' if not loop.first }}strlen(coalesce({{ column }}, ''))::varchar || ':' || coalesce({{ column }}, '')
        {%- endfor %}
    )
{%- endmacro %}

{% macro embedding_array(column) -%}
    {{ return(adapter.dispatch('embedding_array', 'nextmart')(column)) }}
{%- endmacro %}

{% macro default__embedding_array(column) -%}
    {{ column }}::float[{{ var('embedding_dimensions') }}]
{%- endmacro %}

{# Text literals for an IN list, quoted. #}
{% macro text_list(values) -%}
    {%- for value in values -%}
        '{{ value | replace("'", "''") }}'{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{# What must agree for two rows of one event_id to be the same event. #}
{% macro event_payload() -%}
    row(visitor_id, user_id, item_id, event_type, event_at, source_session_id)
{%- endmacro %}

{# A rejected row as it was read (blank text reads as null), for people to look at. #}
{% macro raw_event_json() -%}
    {{ return(adapter.dispatch('raw_event_json', 'nextmart')()) }}
{%- endmacro %}

{% macro default__raw_event_json() -%}
    to_json({
        'event_id': event_id, 'visitor_id': visitor_id, 'user_id': user_id, 'item_id': item_id,
        'event_type': event_type, 'event_at': event_at_text, 'source_session_id': source_session_id,
        'user_agent': user_agent
    })
{%- endmacro %}

{% macro matches(column, pattern) -%}
    {{ return(adapter.dispatch('matches', 'nextmart')(column, pattern)) }}
{%- endmacro %}

{% macro default__matches(column, pattern) -%}
    regexp_matches({{ column }}, '{{ pattern | replace("'", "''") }}')
{%- endmacro %}

{# Text as people read it: no HTML references, soft hyphens, control characters or white space but single blanks;
   NFC. Blank text is null. Another rule needs another cleaning_version. #}
{% macro clean_text(column) -%}
    {{ return(adapter.dispatch('clean_text', 'nextmart')(column)) }}
{%- endmacro %}

{% macro default__clean_text(column) -%}
    nullif(trim(regexp_replace(nfc_normalize(replace(
        -- a Python function (jobs/sql_functions.py), so only for texts that need it
        case when contains({{ column }}, '&') then unescape_html({{ column }}) else {{ column }} end,
        chr(173), '')), '[\s\p{Z}\p{Cc}\x{200B}\x{2060}\x{FEFF}]+', ' ', 'g')), '')
{%- endmacro %}

{% macro cleaning_version() -%} 1 {%- endmacro %}

{% macro blank_as_null(column) -%}
    nullif(trim(cast({{ column }} as varchar)), '')
{%- endmacro %}
