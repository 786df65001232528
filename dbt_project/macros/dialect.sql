{# Macros for SQL that only DuckDB spells this way. For another warehouse, add a macro `<adapter>__<name>` beside
   `default__<name>`. #}

{% macro try_cast(column, type) -%}
    {{ return(adapter.dispatch('try_cast', 'nextmart')(column, type)) }}
{%- endmacro %}

{% macro default__try_cast(column, type) -%}
    try_cast({{ column }} as {{ type }})
{%- endmacro %}

{% macro minutes(number) -%}
    interval '{{ number }} minutes'
{%- endmacro %}

{% macro hours(number) -%}
    interval '{{ number }} hours'
{%- endmacro %}

{% macro minutes_between(earlier, later) -%}
    {{ return(adapter.dispatch('minutes_between', 'nextmart')(earlier, later)) }}
{%- endmacro %}

{# Whole minutes of elapsed time between two instants, not the number of times that the clock's minute changes. #}
{% macro default__minutes_between(earlier, later) -%}
    datesub('minute', {{ earlier }}, {{ later }})
{%- endmacro %}

{# Aggregate that collects values into a list, ordered by `keys`. The keys must make a total order: otherwise the order
   of rows with equal keys would depend on where the rows lie on disk. #}
{% macro ordered_list(value, keys) -%}
    {{ return(adapter.dispatch('ordered_list', 'nextmart')(value, keys)) }}
{%- endmacro %}

{% macro default__ordered_list(value, keys) -%}
    list({{ value }} order by {{ keys }})
{%- endmacro %}

{# SHA-256 of several texts, each preceded by its length, so that ('ab', 'c') and ('a', 'bc') give different hashes. #}
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
    {{ column }}::float[{{ embedding_dimensions() }}]
{%- endmacro %}

{# The cosine of two embeddings, at least 0; 0 where one of them is missing or has no direction. #}
{% macro cosine(embedding, other) -%}
    {{ return(adapter.dispatch('cosine', 'nextmart')(embedding, other)) }}
{%- endmacro %}

{% macro default__cosine(embedding, other) -%}
    coalesce(greatest(0.0, nullif(array_cosine_similarity({{ embedding }}, {{ other }}), 'nan'::double)), 0)
{%- endmacro %}

{# A list of texts as quoted SQL literals, for an IN list. #}
{% macro text_list(values) -%}
    {%- for value in values -%}
        '{{ value | replace("'", "''") }}'{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{% macro matches(column, pattern) -%}
    {{ return(adapter.dispatch('matches', 'nextmart')(column, pattern)) }}
{%- endmacro %}

{% macro default__matches(column, pattern) -%}
    regexp_matches({{ column }}, '{{ pattern | replace("'", "''") }}')
{%- endmacro %}

{% macro blank_as_null(column) -%}
    nullif(trim(cast({{ column }} as varchar)), '')
{%- endmacro %}

{# Condition that a visitor belongs to part number `part`, from 0, if all visitors are divided into `parts` parts of
   about equal size. #}
{% macro visitor_part(part, parts) -%}
    {{ return(adapter.dispatch('visitor_part', 'nextmart')(part, parts)) }}
{%- endmacro %}

{% macro default__visitor_part(part, parts) -%}
    {% if parts > 1 %}hash(visitor_id) % {{ parts }} = {{ part }}{% else %}true{% endif %}
{%- endmacro %}

{# JSON object of SQL values by their names; `values` is name -> SQL. #}
{% macro json_of(values) -%}
    {{ return(adapter.dispatch('json_of', 'nextmart')(values)) }}
{%- endmacro %}

{% macro default__json_of(values) -%}
    json_object({% for name, value in values.items() %}'{{ name }}', {{ value }}{{ ', ' if not loop.last }}{% endfor %})
{%- endmacro %}

{# A row of `relation` as a JSON text. #}
{% macro row_as_json_text(relation) -%}
    {{ return(adapter.dispatch('row_as_json_text', 'nextmart')(relation)) }}
{%- endmacro %}

{% macro default__row_as_json_text(relation) -%}
    to_json({{ relation }})::varchar
{%- endmacro %}

{# SQL expression that raises an error with `message`, an SQL expression too. Without such a message, a failing dbt test
   reports only a number of rows. #}
{% macro stop_with(message) -%}
    {{ return(adapter.dispatch('stop_with', 'nextmart')(message)) }}
{%- endmacro %}

{% macro default__stop_with(message) -%}
    error({{ message }})
{%- endmacro %}
