{# Checks of settings, which every dbt command that builds or tests runs first (on-run-start). #}

{# Stops dbt before it builds anything, with a message that says what to type, if one of three things is wrong: a var
   has a value that makes no sense; nextmart.toml sets vars that dbt was not given; or a var that cuts sessions has
   changed since the sessions in the warehouse were cut. A full refresh may change such a var, because it cuts all
   sessions anew. #}
{% macro check_settings() -%}
    {%- set session_changes = ref('session_changes') -%}
    {%- if execute -%}
        {%- do adapter.dispatch('check_vars', 'nextmart')() -%}
        {%- if not flags.FULL_REFRESH and flags.WHICH != 'test' -%}
            {%- do require_unchanged_session_rule(session_changes) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{# Stops dbt if the plugin finds a problem with the vars. The SQL functions dbt_var_names and settings_problem come from
   the plugin jobs.orchestration.dbt_plugin, which the profile must name. #}
{% macro default__check_vars() -%}
    {%- set var_names = fromjson(run_query("select dbt_var_names('')").rows[0][0]) -%}
    {%- set var_values = {} -%}
    {%- for name in var_names -%}{%- do var_values.update({name: var(name)}) -%}{%- endfor -%}
    {%- set invocation_json = tojson({
        'vars': var_values, 'named': invocation_args_dict.get('vars', {}) | list,
        'is_own_project': project_name == 'nextmart'
    }) -%}
    {%- set problem = run_query("select settings_problem(" ~ text_literals([invocation_json]) ~ ")").rows[0][0] -%}
    {%- if problem -%}{%- do exceptions.raise_compiler_error(problem) -%}{%- endif -%}
{%- endmacro %}

{% macro require_unchanged_session_rule(session_changes) -%}
    {%- set session_changes_table = adapter.get_relation(
        session_changes.database, session_changes.schema, session_changes.identifier) -%}
    {%- if session_changes_table -%}
        {%- set rows = run_query("select distinct session_rule from " ~ session_changes_table ~ " order by all") -%}
        {%- set other_session_rules = rows.columns[0].values() | reject('equalto', session_rule()) | list -%}
        {%- if other_session_rules -%}
            {%- do exceptions.raise_compiler_error(
                "a var that cuts sessions has changed: the sessions in the warehouse were cut by '" ~ other_session_rules[0]
                ~ "', and the vars say '" ~ session_rule() ~ "'. Cut all sessions anew: nextmart run --full-refresh "
                ~ "(or dbt build --full-refresh). Or set session_gap_minutes, max_session_minutes, max_session_events "
                ~ "and max_source_session_hours back."
            ) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
