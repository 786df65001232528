-- rows say where they come from: the model of the list, popularity or, at the rank of its pin, pin; a placement without
-- fallback has popular rows only where popularity is the model; popular rows come behind those of the model
-- depends_on: {{ ref('placement_recommendations') }}
-- depends_on: {{ ref('placement_lists') }}
{{ empty_result() }}
{% for rule in placement_rules('fallback') %}
{% set name, slots = text_literals([rule['placement']]), ranks_with_rule(rule['placement'], 'slot') %}
union all
select placement, visitor_id, item_id
from (
    select
        recommended.*,
        coalesce(models.model, 'popularity') as model,
        max(case when recommended.source not in ('popularity', 'pin') then recommended.rank end)
            over (partition by recommended.visitor_id) as last_rank_of_model
    from {{ ref('placement_recommendations') }} as recommended
    inner join {{ ref('placement_lists') }} as lists
        on recommended.placement = lists.placement and recommended.visitor_id = lists.visitor_id
    left join {{ source('ml', 'models') }} as models on recommended.model_version = models.model_version
    where
        recommended.placement = {{ name }}
        {% if slots %}
        -- a slot takes its rank before the others, and stands elsewhere only in a list that is short
        and (lists.missing = 0 or recommended.source = 'pin')
        and recommended.rank not in ({{ slots | join(', ') }})
        {% endif %}
)
where
    source not in (model, 'popularity', 'pin')
    {% if rule['definition'] == 'none' %}or (source = 'popularity' and model <> 'popularity'){% endif %}
    or (source = 'popularity' and model <> 'popularity' and rank < last_rank_of_model)
    or (
        source = 'pin'
        and item_id not in (select unnest([{{ text_literals(rule_definitions(rule['placement'], 'pin')) }}]::varchar[]))
    )
{% endfor %}
