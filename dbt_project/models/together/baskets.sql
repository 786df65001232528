{% set hooks = [] %}
{% for part in range(1, basket_parts()) %}{% do hooks.append("{{ add_baskets(" ~ part ~ ") }}") %}{% endfor %}
{{ config(
    materialized='incremental', incremental_strategy='append',
    pre_hook="{{ mark_outdated_baskets(this) }}",
    post_hook=hooks + ["{{ clear_pair_counts() }}"]
) }}

-- The post-hooks of a full refresh add the other parts.
{{ new_baskets(0) }}
