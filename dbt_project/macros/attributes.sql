{# Macros for attributes: the columns of the user's files that nextmart doesn't define, such as an item's country. The
   attributes of an item or a visitor are one JSON object. Its members are here a list of structs: name, value (JSON)
   and text. #}

{# The members of a JSON object as a list, in the order of their names. A member is left out if its value is null, blank
   or one of the dbt var `null_words`. The list is null if the text is no JSON object. #}
{% macro attribute_members(column) -%}
    {{ return(adapter.dispatch('attribute_members', 'nextmart')(column, var('null_words'))) }}
{%- endmacro %}

{% macro default__attribute_members(column, null_words) -%}
    list_sort(list_filter(
        list_transform(
            map_entries(case when json_valid({{ column }}) and json_type({{ column }}) = 'OBJECT'
                then {{ column }}::json::map(varchar, json) end),
            lambda member: struct_pack(
                name := member.key, value := member.value, text := {{ blank_as_null("member.value ->> '$'") }}
            )
        ),
        lambda member: member.text is not null
            {%- if null_words %} and member.text not in ({{ text_literals(null_words) }}){% endif %}
    ))
{%- endmacro %}

{# The kind of a member's value: json (an object or a list), number, boolean, date, time or text. A text counts as a
   number only if it is written as programs write numbers: `7` counts; `007`, `+7` and `1e5` don't. #}
{% macro attribute_value_kind(member) -%}
    {{ return(adapter.dispatch('attribute_value_kind', 'nextmart')(member)) }}
{%- endmacro %}

{% macro default__attribute_value_kind(member) -%}
    {%- set text = member ~ '.text' -%}
    case
        when json_type({{ member }}.value) in ('OBJECT', 'ARRAY') then 'json'
        when json_type({{ member }}.value) = 'BOOLEAN' or lower({{ text }}) in ('true', 'false') then 'boolean'
        when
            json_type({{ member }}.value) <> 'VARCHAR'
            or regexp_full_match({{ text }}, '-?(0|[1-9][0-9]{0,14})([.][0-9]{1,15})?|-?[1-9]([.][0-9]{1,15})?e-[0-9]{2}')
            then 'number'
        when not regexp_matches({{ text }}, '^[0-9]{4}-[0-9]{2}-[0-9]{2}') then 'text'
        when length({{ text }}) = 10 and try_cast({{ text }} as date) is not null then 'date'
        when
            regexp_full_match({{ text }}, '.{10}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?')
            and {{ to_timestamp_utc(text) }} is not null
            then 'time'
        else 'text'
    end
{%- endmacro %}

{# Aggregate that returns an attribute's type from the kinds of all its values: json if a value is an object or a list;
   else the kind of the values if all have the same; time if all are dates or times; else text. #}
{% macro attribute_type(kind) -%}
    case
        when bool_or({{ kind }} = 'json') then 'json'
        when min({{ kind }}) = max({{ kind }}) then min({{ kind }})
        when bool_and({{ kind }} in ('date', 'time')) then 'time'
        else 'text'
    end
{%- endmacro %}

{# Query of one row: `types`, a map from the name of each attribute to its type. #}
{% macro attribute_type_map(relation, members) -%}
    select map_from_entries(list(struct_pack(k := name, v := type) order by name)) as types
    from (
        select name, {{ attribute_type('kind') }} as type
        from (
            select distinct member['name'] as name, {{ attribute_value_kind('member') }} as kind
            from (select unnest({{ members }}) as member from {{ relation }})
        )
        group by name
    )
{%- endmacro %}

{# The JSON object of a row's members, in which each value has the type of its attribute; null if there is no member.
   Times are written in UTC. Values of an attribute of type json stay as they are. #}
{% macro typed_attributes(members, types) -%}
    {{ return(adapter.dispatch('typed_attributes', 'nextmart')(members, types)) }}
{%- endmacro %}

{% macro default__typed_attributes(members, types) -%}
    case when len({{ members }}) > 0 then ('{' || array_to_string(
        list_transform({{ members }}, lambda member: to_json(member.name)::varchar || ':' || case {{ types }}[member.name]
            when 'json' then member.value::varchar
            when 'number' then member.text
            when 'boolean' then lower(member.text)
            when 'time' then replace(
                strftime({{ to_timestamp_utc('member.text') }}, '"%Y-%m-%dT%H:%M:%S.%fZ"'), '.000000', ''
            )
            else to_json(member.text)::varchar
        end), ','
    ) || '}')::json end
{%- endmacro %}

{# Hash of the names and texts of a row's members; null if there is no member. The hash doesn't depend on the
   attributes' types. #}
{% macro attributes_hash(members) -%}
    {{ return(adapter.dispatch('attributes_hash', 'nextmart')(members)) }}
{%- endmacro %}

{% macro default__attributes_hash(members) -%}
    case when len({{ members }}) > 0 then md5(array_to_string(list_transform(
        {{ members }},
        lambda member: concat(strlen(member.name), ':', member.name, strlen(member.text), ':', member.text)
    ), '')) end
{%- endmacro %}
