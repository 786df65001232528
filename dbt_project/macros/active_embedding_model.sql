{# Macros about the active embedding model: the one of `embedding_models` that the dbt var `embedding_model` names. #}

{# The length of the active embedding model's vectors. Raises a compiler error if `embedding_models` has no such
   model. #}
{% macro embedding_dimensions() -%}
    {%- set embedding_models, name = var('embedding_models'), var('embedding_model') -%}
    {%- if name not in embedding_models -%}
        {%- do exceptions.raise_compiler_error(
            "embedding_model: '" ~ name ~ "' is none of embedding_models: " ~ embedding_models | join(', ')) -%}
    {%- endif -%}
    {{ embedding_models[name].dimensions }}
{%- endmacro %}

{# Condition that a row of `relation`, which has the columns embedding_model and dimensions, belongs to the active
   embedding model. #}
{% macro is_active_embedding(relation) -%}
    {{ relation }}.embedding_model = {{ text_literals([var('embedding_model')]) }}
    and {{ relation }}.dimensions = {{ embedding_dimensions() }}
{%- endmacro %}
