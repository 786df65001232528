{# Which vectors serve: the var `embedding_model` names one of `embedding_models`. #}

{% macro embedding_dimensions() -%}
    {%- set models, name = var('embedding_models'), var('embedding_model') -%}
    {%- if name not in models -%}
        {%- do exceptions.raise_compiler_error(
            "embedding_model: '" ~ name ~ "' is none of embedding_models: " ~ models | join(', ')) -%}
    {%- endif -%}
    {{ models[name].dimensions }}
{%- endmacro %}

{# Of a relation with the columns embedding_model and dimensions, the rows of the model that is set. #}
{% macro of_the_embedding_model(relation) -%}
    {{ relation }}.embedding_model = {{ text_list([var('embedding_model')]) }}
    and {{ relation }}.dimensions = {{ embedding_dimensions() }}
{%- endmacro %}
