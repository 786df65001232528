{# The rows of a table keep its rules. Each row that the test returns is a broken rule, with the number of rows or groups
   of rows that break the rule, and one of them. The arguments are the rules:

   - not_null: columns that are never null;
   - finite: columns that are never NaN or infinite, because NaN sorts before every number in descending order, so that
     an item whose score is NaN would be first in every list;
   - accepted_values: for a column, the values that it may have beside null;
   - unique: lists of columns; no two rows have the same values in all columns of a list;
   - unique_in_new_builds: for a column, the column with the number of the row's build; no value of the first column
     repeats (see has_key_of_new_build);
   - ranked_within: columns; rows with the same values in them have the ranks 1, 2, …, n, each once, where n is the
     number of these rows; `[]`: all rows of the table are ranked together.

   This is one test instead of several, because each test takes as much of the night as a small model. #}
{% test valid_rows(
    model, not_null=[], finite=[], accepted_values={}, unique=[], unique_in_new_builds={}, ranked_within=none
) -%}
{%- set violations = {} %}
{%- for column in not_null %}
    {%- do violations.update({column ~ ' is null': column ~ ' is null'}) %}
{%- endfor %}
{%- for column in finite %}
    {%- do violations.update({column ~ ' is not finite': 'not isfinite(' ~ column ~ ')'}) %}
{%- endfor %}
{%- for column, values in accepted_values.items() %}
    {%- set rule = column ~ ' is none of ' ~ values | join(', ') %}
    {%- do violations.update({rule: column ~ ' not in (' ~ text_literals(values) ~ ')'}) %}
{%- endfor %}
{%- set queries = [rules_broken_by_rows(model, violations)] if violations else [] %}
{%- for columns in unique %}
    {%- do queries.append(rule_broken_by_groups(model, columns | join(', ') ~ ' repeat', columns, 'count(*) > 1')) %}
{%- endfor %}
{%- for column, build_column in unique_in_new_builds.items() %}
    {%- set key = event_key() if column == 'event_id' else column %}
    {%- set is_compared = has_key_of_new_build(model, key, build_column) %}
    {%- do queries.append(rule_broken_by_groups(model, column ~ ' repeats', [key], 'count(*) > 1', is_compared)) %}
{%- endfor %}
{%- if ranked_within is not none %}
    {%- set rule = 'ranks are not 1, 2, …, n' ~ (' for each ' ~ ranked_within | join(', ') if ranked_within else '') %}
    {%- set has_other_ranks = 'min(rank) <> 1 or max(rank) <> count(*) or count(distinct rank) <> count(*)' %}
    {%- do queries.append(rule_broken_by_groups(model, rule, ranked_within, has_other_ranks)) %}
{%- endif %}
{{ queries | join('\nunion all\n') }}
{%- endtest %}
