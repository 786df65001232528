{# The embedding model in use: the var `embedding_model`, which names one of `embedding_models`. #}

{# The length of the model's vectors.
   Raises a compiler error if `embedding_models` has no such model. #}
{% macro embedding_dimensions() -%}
    {%- set models, name = var('embedding_models'), var('embedding_model') -%}
    {%- if name not in models -%}
        {%- do exceptions.raise_compiler_error(
            "embedding_model: '" ~ name ~ "' is none of embedding_models: " ~ models | join(', ')) -%}
    {%- endif -%}
    {{ models[name].dimensions }}
{%- endmacro %}

{# Whether a row of `relation`, which has the columns embedding_model and dimensions, belongs to the model in use. #}
{% macro is_active_embedding(relation) -%}
    {{ relation }}.embedding_model = {{ text_list([var('embedding_model')]) }}
    and {{ relation }}.dimensions = {{ embedding_dimensions() }}
{%- endmacro %}
