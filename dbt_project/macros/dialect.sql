{# Macros for SQL that only DuckDB spells this way. For another warehouse, add a macro `<adapter>__<name>` beside
   `default__<name>`. #}

{% macro try_cast(column, type) -%}
    {{ return(adapter.dispatch('try_cast', 'nextmart')(column, type)) }}
{%- endmacro %}

{% macro default__try_cast(column, type) -%}
    try_cast({{ column }} as {{ type }})
{%- endmacro %}

{% macro interval_of_minutes(minute_count) -%}
    interval '{{ minute_count }} minutes'
{%- endmacro %}

{% macro interval_of_hours(hour_count) -%}
    interval '{{ hour_count }} hours'
{%- endmacro %}

{% macro minutes_between(earlier, later) -%}
    {{ return(adapter.dispatch('minutes_between', 'nextmart')(earlier, later)) }}
{%- endmacro %}

{# Whole minutes of elapsed time between two instants, not the number of times that the clock's minute changes. #}
{% macro default__minutes_between(earlier, later) -%}
    datesub('minute', {{ earlier }}, {{ later }})
{%- endmacro %}

{% macro microseconds_between(earlier, later) -%}
    {{ return(adapter.dispatch('microseconds_between', 'nextmart')(earlier, later)) }}
{%- endmacro %}

{% macro default__microseconds_between(earlier, later) -%}
    datesub('microsecond', {{ earlier }}, {{ later }})
{%- endmacro %}

{# Aggregate that collects values into a list, ordered by `sort_keys`. These must make a total order: otherwise the
   order of rows with equal keys would depend on where the rows lie on disk. #}
{% macro ordered_list(value, sort_keys) -%}
    {{ return(adapter.dispatch('ordered_list', 'nextmart')(value, sort_keys)) }}
{%- endmacro %}

{% macro default__ordered_list(value, sort_keys) -%}
    list({{ value }} order by {{ sort_keys }})
{%- endmacro %}

{# A number that no other row of the same table has. It may change from one query to the next, so don't store it.
   `row_number() over ()` is no substitute: DuckDB 1.5 computes it with one state for both halves of a `union all`, and
   some queries fail by chance. #}
{% macro row_id() -%}
    {{ return(adapter.dispatch('row_id', 'nextmart')()) }}
{%- endmacro %}

{% macro default__row_id() -%}
    rowid
{%- endmacro %}

{# SHA-256 of several texts, each preceded by its length, so that ('ab', 'c') and ('a', 'bc') give different hashes. #}
{% macro length_prefixed_hash(columns) -%}
    {{ return(adapter.dispatch('length_prefixed_hash', 'nextmart')(columns)) }}
{%- endmacro %}

{% macro default__length_prefixed_hash(columns) -%}
    sha256(
        {%- for column in columns %}
        {{ '|| ' if not loop.first }}strlen(coalesce({{ column }}, ''))::varchar || ':' || coalesce({{ column }}, '')
        {%- endfor %}
    )
{%- endmacro %}

{% macro as_embedding_array(column) -%}
    {{ return(adapter.dispatch('as_embedding_array', 'nextmart')(column)) }}
{%- endmacro %}

{% macro default__as_embedding_array(column) -%}
    {{ column }}::float[{{ embedding_dimensions() }}]
{%- endmacro %}

{# The cosine of two embeddings. Negative cosines become 0; it is 0 too where an embedding is missing or all zeros. #}
{% macro non_negative_cosine(embedding, other_embedding) -%}
    {{ return(adapter.dispatch('non_negative_cosine', 'nextmart')(embedding, other_embedding)) }}
{%- endmacro %}

{% macro default__non_negative_cosine(embedding, other_embedding) -%}
    coalesce(greatest(0.0, nullif(array_cosine_similarity({{ embedding }}, {{ other_embedding }}), 'nan'::double)), 0)
{%- endmacro %}

{# A list of texts as quoted SQL literals, for an IN list. #}
{% macro text_literals(values) -%}
    {%- for value in values -%}
        '{{ value | replace("'", "''") }}'{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{% macro matches_regex(column, pattern) -%}
    {{ return(adapter.dispatch('matches_regex', 'nextmart')(column, pattern)) }}
{%- endmacro %}

{% macro default__matches_regex(column, pattern) -%}
    regexp_matches({{ column }}, '{{ pattern | replace("'", "''") }}')
{%- endmacro %}

{% macro blank_as_null(column) -%}
    nullif(trim(cast({{ column }} as varchar)), '')
{%- endmacro %}

{# Condition that an id is in the part `part_number`, which counts from 0, when a hash divides all ids into `part_count`
   parts of about equal size. #}
{% macro is_in_part(id, part_number, part_count) -%}
    {{ return(adapter.dispatch('is_in_part', 'nextmart')(id, part_number, part_count)) }}
{%- endmacro %}

{% macro default__is_in_part(id, part_number, part_count) -%}
    {% if part_count > 1 %}hash({{ id }}) % {{ part_count }} = {{ part_number }}{% else %}true{% endif %}
{%- endmacro %}

{# JSON object of several members; `sql_by_name` has the name of each member and the SQL of its value. #}
{% macro json_object_of(sql_by_name) -%}
    {{ return(adapter.dispatch('json_object_of', 'nextmart')(sql_by_name)) }}
{%- endmacro %}

{% macro default__json_object_of(sql_by_name) -%}
    json_object({% for name, value in sql_by_name.items() %}'{{ name }}', {{ value }}{{ ', ' if not loop.last }}{% endfor %})
{%- endmacro %}

{# A row of `relation` as a JSON text. #}
{% macro row_as_json_text(relation) -%}
    {{ return(adapter.dispatch('row_as_json_text', 'nextmart')(relation)) }}
{%- endmacro %}

{% macro default__row_as_json_text(relation) -%}
    to_json({{ relation }})::varchar
{%- endmacro %}

{# SQL expression that stops the query with an error. `message` is the SQL of the error's text. A dbt test uses it to
   say what is wrong, because a failing test by itself reports only a number of rows. #}
{% macro fail_with_message(message) -%}
    {{ return(adapter.dispatch('fail_with_message', 'nextmart')(message)) }}
{%- endmacro %}

{% macro default__fail_with_message(message) -%}
    error({{ message }})
{%- endmacro %}
