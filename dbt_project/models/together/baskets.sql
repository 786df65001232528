{% set post_hooks = [] %}
{% for part_number in range(1, basket_part_count()) %}
{% do post_hooks.append("{{ add_baskets(" ~ part_number ~ ") }}") %}
{% endfor %}
{{ config(
    materialized='incremental', incremental_strategy='append',
    pre_hook="{{ mark_outdated_baskets(this) }}",
    post_hook=post_hooks + ["{{ clear_pair_counts() }}"]
) }}

-- The post-hooks of a full refresh add the baskets of the other parts of the sessions.
{{ new_baskets(0) }}
