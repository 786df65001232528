{# Checks of settings that every dbt command which builds or tests runs first (on-run-start). #}

{# Stops dbt, before it builds anything, with a message that says what to type: if a var has a value that makes no sense,
   if nextmart.toml sets vars that dbt was not given, and if the vars that cut sessions are others than those by which
   the sessions in the warehouse were cut, unless a full refresh cuts them all anew. #}
{% macro check_settings() -%}
    {%- set session_changes = ref('session_changes') -%}
    {%- if execute -%}
        {%- do adapter.dispatch('check_vars', 'nextmart')() -%}
        {%- if not flags.FULL_REFRESH and flags.WHICH != 'test' -%}
            {%- do check_session_rule(session_changes) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{# The functions dbt_var_names and settings_problem are of the plugin jobs.orchestration.dbt_plugin, which the profile
   must name. #}
{% macro default__check_vars() -%}
    {%- set names = fromjson(run_query("select dbt_var_names('')").rows[0][0]) -%}
    {%- set used = {} -%}
    {%- for name in names -%}{%- do used.update({name: var(name)}) -%}{%- endfor -%}
    {%- set dbt_run = tojson({
        'vars': used, 'named': invocation_args_dict.get('vars', {}) | list, 'is_own_project': project_name == 'nextmart'
    }) -%}
    {%- set problem = run_query("select settings_problem(" ~ text_literals([dbt_run]) ~ ")").rows[0][0] -%}
    {%- if problem -%}{%- do exceptions.raise_compiler_error(problem) -%}{%- endif -%}
{%- endmacro %}

{% macro check_session_rule(session_changes) -%}
    {%- set built = adapter.get_relation(session_changes.database, session_changes.schema, session_changes.identifier) -%}
    {%- if built -%}
        {%- set rules = run_query("select distinct session_rule from " ~ built ~ " order by all").columns[0].values() -%}
        {%- set others = rules | reject('equalto', session_rule()) | list -%}
        {%- if others -%}
            {%- do exceptions.raise_compiler_error(
                "a var that cuts sessions has changed: the sessions in the warehouse were cut by '" ~ others[0]
                ~ "', and the vars say '" ~ session_rule() ~ "'. Cut all sessions anew: nextmart run --full-refresh "
                ~ "(or dbt build --full-refresh). Or set session_gap_minutes, max_session_minutes, max_session_events "
                ~ "and max_source_session_hours back."
            ) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
